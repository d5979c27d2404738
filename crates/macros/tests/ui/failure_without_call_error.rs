use bareflow_abi::{CallError, Failure};

#[derive(Failure)]
enum FileError {
    NoSuchFile,
}

fn unused(_: CallError) {}

fn main() {}
