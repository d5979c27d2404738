use bareflow_abi::{CallError, interface};

#[derive(Clone, Copy)]
struct Point;

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self) -> Result<Point, CallError>;
}

fn main() {}
