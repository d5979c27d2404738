use bareflow_abi::Plain;

#[derive(Clone, Copy, Plain)]
struct Point {
    x: u32,
}

fn main() {}
