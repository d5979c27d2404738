//! The module `counter` with other fields: it continues from the old count, and records the version that it took over
//! from.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use bareflow_abi::state::PreviousState;

bareflow_abi::state! {
    /// The state that survives a reload.
    pub struct Counter {
        /// The version it took over from.
        pub from: [u32; 3] = [0; 3],
        /// The number of calls, including those of the old version.
        pub count: u64 = 0,
    }
}

bareflow_abi::module!(count, state = Counter, migrate = migrate);

/// Counts a call.
pub fn count(context: &mut Context<'_>, counter: &mut Counter) -> i32 {
    counter.count += 1;
    for part in counter.from {
        context.write(&part.to_le_bytes());
    }
    i32::try_from(counter.count).unwrap_or(i32::MAX)
}

/// Continues from the old version's count, under either name; returns 1 if it had none.
pub fn migrate(old: &PreviousState<'_>, counter: &mut Counter) -> i32 {
    counter.from = old.version;
    match old.get("calls").or_else(|| old.get("number")) {
        Some(count) => {
            counter.count = count;
            0
        }
        None => 1,
    }
}
