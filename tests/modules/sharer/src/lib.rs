//! Does with regions what its input says: `create 5000`, `lend 1 borrower shared`, `write 1 exclusive text`.

#![no_std]

use bareflow_abi::Context;

mod driver;

/// Calls no one.
fn call_owner(_: &mut Context<'_>, _: &[u8]) -> Option<i32> {
    None
}
