use bareflow_abi::Plain;

#[repr(C)]
#[derive(Clone, Copy, Plain)]
struct Entry {
    kind: u8,
    length: u32,
}

fn main() {}
