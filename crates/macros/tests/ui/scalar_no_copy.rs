use bareflow_abi::Scalar;

#[derive(Scalar)]
enum Colour {
    Red,
}

fn main() {}
