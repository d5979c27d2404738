//! Panics before it can be called: when it is loaded, or when it should take over a state.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use bareflow_abi::state::PreviousState;

bareflow_abi::state! {
    /// A state unlike that of any other module.
    pub struct Table {
        /// A field that is never read.
        pub early: u64 = 0,
    }
}

bareflow_abi::module!(work, state = Table, init = init, migrate = migrate);

/// Returns 0; never reached.
pub fn work(_: &mut Context<'_>, _: &mut Table) -> i32 {
    0
}

fn init() -> i32 {
    panic!("no table of {} rows", 3)
}

fn migrate(old: &PreviousState<'_>, _: &mut Table) -> i32 {
    panic!("nothing like {}.{}", old.version[0], old.version[1])
}
