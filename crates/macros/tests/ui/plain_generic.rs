use bareflow_abi::Plain;

#[repr(C)]
#[derive(Clone, Copy, Plain)]
struct Pair<T> {
    one: T,
}

fn main() {}
