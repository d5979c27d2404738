//! Says who calls.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::CallError;
use who_interface::Who;

bareflow_abi::module!(exports = [Who], provider = Server);

impl Who for Server<'_> {
    fn calls(&self) -> Result<u32, CallError> {
        Ok(self.context.caller())
    }
}
