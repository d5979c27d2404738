//! Does with regions what its input says, as `sharer` does, and calls the module `owner`.

#![no_std]

use bareflow_abi::Context;

#[path = "../../sharer/src/driver.rs"]
mod driver;

/// Calls the module `owner`.
fn call_owner(context: &mut Context<'_>, input: &[u8]) -> Option<i32> {
    context.call("owner", input, &mut []).ok().map(|reply| reply.result)
}
