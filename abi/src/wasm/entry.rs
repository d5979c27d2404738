//! The function that the engine calls.

use super::context::Context;
use super::{lent, scratch};

/// Calls the module for a reason.
#[unsafe(no_mangle)]
extern "C" fn bareflow_portable_entry(reason: u32) -> i32 {
    #[expect(improper_ctypes, reason = "both sides are compiled together")]
    unsafe extern "C" {
        fn bareflow_entry(context: *mut Context<'_>, reason: u32) -> i32;
    }
    scratch::reset();
    let mut context = Context::new();
    // SAFETY: the symbol is that of `module!`, whose signature this is.
    let result = unsafe { bareflow_entry(&raw mut context, reason) };
    lent::end(result)
}
