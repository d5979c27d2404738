use bareflow_abi::Plain;

#[repr(C)]
#[derive(Clone, Copy, Plain)]
struct Entry {
    name: &'static str,
}

fn main() {}
