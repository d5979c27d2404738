//! The interface `report`: the modules that are loaded, with their figures, as `bareflow ps` shows them.
//!
//! The loader itself provides it, under the name `loader`. Whoever imports it learns the names and the figures of all modules,
//! and nothing of what they compute; a policy can forbid it (`--allow`, `interface:report`). Nothing can be changed by it.

#![no_std]
#![forbid(unsafe_code)]

mod values;

pub use values::{Domain, ModuleRow, NAME_BYTES, Overview, State};

use bareflow_abi::{CallError, Out, interface};

/// The modules that are loaded.
#[interface(version = "1.0")]
pub trait Report {
    /// Writes the figures of all modules together.
    fn overview(&self, into: &mut Overview) -> Result<(), CallError>;

    /// Appends rows from a position on: that of the first is 0. Returns the position to go on from, or 0 if there are no more.
    ///
    /// There has to be room for one at least, else this is [`BadArgument`](CallError::BadArgument). A call appends 16 at most.
    /// A module that stays has one row in a list that is read in several pieces, whatever comes and goes meanwhile.
    fn modules(&self, from: u32, into: &mut Out<'_, ModuleRow>) -> Result<u32, CallError>;
}
