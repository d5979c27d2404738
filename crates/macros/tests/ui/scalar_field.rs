use bareflow_abi::Scalar;

#[derive(Clone, Copy, Scalar)]
enum Colour {
    Red,
    Other(u32),
}

fn main() {}
