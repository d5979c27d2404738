use bareflow_abi::{CallError, Failure};

#[derive(Failure)]
enum FileError {
    NoSuchFile = 2,
    #[call_error]
    Call(CallError),
}

fn unused(_: CallError) {}

fn main() {}
