//! Asks the module `who` who it is, and returns the number.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use who_interface::Who;

bareflow_abi::module!(ask, imports = { who: Who });

/// Returns its own number; the negative one of an error if there is no answer.
pub fn ask(context: &mut Context<'_>, with: Imports<'_>) -> i32 {
    // Nobody calls a `run` by a method.
    if context.caller() != 0 {
        return -1;
    }
    with.who.calls().map_or_else(|error| -256 - error as i32, |number| number as i32)
}
