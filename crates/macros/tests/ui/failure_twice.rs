use bareflow_abi::{CallError, Failure};

#[repr(u16)]
#[derive(Failure)]
enum FileError {
    NoSuchFile = 2,
    Full,
    Busy = 3,
    #[call_error]
    Call(CallError),
}

fn unused(_: CallError) {}

fn main() {}
