use bareflow_abi::{CallError, interface};

#[repr(C)]
#[derive(Clone, Copy, bareflow_abi::Plain)]
struct Point {
    x: u32,
}

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self, point: Point) -> Result<u64, CallError>;
}

fn main() {}
