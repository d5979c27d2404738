use bareflow_abi::{CallError, interface};

#[derive(Clone, Copy, bareflow_abi::Scalar)]
enum Colour {
    Red,
    Blue,
}

#[interface(version = "1.0")]
trait Files {
    fn read(&mut self, colours: &[Colour]) -> Result<u64, CallError>;
}

fn main() {}
