use bareflow_abi::{CallError, Failure};

#[derive(Failure)]
enum FileError {
    #[call_error]
    Call(CallError),
    #[call_error]
    Other(CallError),
}

fn unused(_: CallError) {}

fn main() {}
