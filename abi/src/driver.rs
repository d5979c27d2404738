//! Calls the module that is linked into this very program. Only a program that has a module run to see what
//! its code does has one: `bareflow-builder` makes it.

use crate::{Context, Reason};

/// Calls the module's entry, as a loader would.
pub fn call(context: &mut Context<'_>, reason: Reason) -> i32 {
    unsafe extern "C" {
        fn bareflow_entry(context: *mut Context<'_>, reason: u32) -> i32;
    }
    // SAFETY: the symbol is that of `module!`, whose signature this is; the linker found it.
    unsafe { bareflow_entry(core::ptr::from_mut(context), reason as u32) }
}
