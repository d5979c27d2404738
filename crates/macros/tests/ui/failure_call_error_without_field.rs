use bareflow_abi::{CallError, Failure};

#[derive(Failure)]
enum FileError {
    NoSuchFile,
    #[call_error]
    Call,
}

fn unused(_: CallError) {}

fn main() {}
