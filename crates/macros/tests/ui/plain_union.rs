use bareflow_abi::Plain;

#[repr(C)]
#[derive(Clone, Copy, Plain)]
union Word {
    one: u32,
}

fn main() {}
