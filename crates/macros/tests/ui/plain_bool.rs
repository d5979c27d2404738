use bareflow_abi::Plain;

#[repr(C)]
#[derive(Clone, Copy, Plain)]
struct Entry {
    is_folder: bool,
}

fn main() {}
