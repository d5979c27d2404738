//! The module `counter` with other fields, and without migration from another version.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;

bareflow_abi::state! {
    /// The state that survives a reload, if the next version has the same fields.
    pub struct Counter {
        /// The number of calls.
        pub number: u64 = 0,
        /// The same field as in the other version, by name and type.
        pub lengths: [u32; 4] = [0; 4],
    }
}

bareflow_abi::module!(count, state = Counter);

/// Counts a call.
pub fn count(_: &mut Context<'_>, counter: &mut Counter) -> i32 {
    counter.number += 1;
    i32::try_from(counter.number).unwrap_or(i32::MAX)
}
