//! The module `counter` with other fields, without a way to take over those of another version.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;

bareflow_abi::state! {
    /// What outlives a reload, if the next one has the same fields.
    pub struct Counter {
        /// Calls so far.
        pub number: u64 = 0,
        /// The same as in another version, by name and type.
        pub lengths: [u32; 4] = [0; 4],
    }
}

bareflow_abi::module!(count, state = Counter);

/// Counts a call.
pub fn count(_: &mut Context<'_>, counter: &mut Counter) -> i32 {
    counter.number += 1;
    i32::try_from(counter.number).unwrap_or(i32::MAX)
}
