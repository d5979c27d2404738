use bareflow_abi::{CallError, Failure};

#[derive(Failure)]
enum FileError {
    Full(u64),
    #[call_error]
    Call(CallError),
}

fn unused(_: CallError) {}

fn main() {}
