use bareflow_abi::{CallError, interface};

#[interface(version = "1.0")]
trait Files {}

fn unused(_: CallError) {}

fn main() {}
