use bareflow_abi::{CallError, Failure};

#[derive(Failure)]
enum FileError {
    NoSuchFile,
    #[call_error]
    Call(u32),
}

fn unused(_: CallError) {}

fn main() {}
