use bareflow_abi::Plain;

#[repr(C, align(64))]
#[derive(Clone, Copy, Plain)]
struct Point {
    x: u32,
}

fn main() {}
