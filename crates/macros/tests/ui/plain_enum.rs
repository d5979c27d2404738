use bareflow_abi::Plain;

#[derive(Clone, Copy, Plain)]
enum Colour {
    Red,
}

fn main() {}
