use bareflow_abi::Scalar;

#[derive(Clone, Copy, Scalar)]
enum Never {}

fn main() {}
