//! Calls of the module that is linked into the same program.
//!
//! Only a program made by `bareflow-builder` to observe a module's code has one.

use crate::{Context, Reason};

/// Calls the module's entry as a loader does.
pub fn call(context: &mut Context<'_>, reason: Reason) -> i32 {
    unsafe extern "C" {
        fn bareflow_entry(context: *mut Context<'_>, reason: u32) -> i32;
    }
    // SAFETY: the symbol is that of `module!`, whose signature this is; the linker found it.
    unsafe { bareflow_entry(core::ptr::from_mut(context), reason as u32) }
}
