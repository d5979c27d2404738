use bareflow_abi::{CallError, Failure};

#[derive(Failure)]
struct FileError;

fn unused(_: CallError) {}

fn main() {}
