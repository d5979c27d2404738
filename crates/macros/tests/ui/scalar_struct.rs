use bareflow_abi::Scalar;

#[derive(Clone, Copy, Scalar)]
struct Colour(u32);

fn main() {}
