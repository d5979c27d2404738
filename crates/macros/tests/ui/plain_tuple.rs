use bareflow_abi::Plain;

#[repr(C)]
#[derive(Clone, Copy, Plain)]
struct Point(u32, u32);

fn main() {}
