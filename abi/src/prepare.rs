//! The preparation of a module's call.

use crate::Context;

/// Prepares a module for a call, before any of its own code runs. Returns a result if the call is handled here.
///
/// The macro calls it. Without the feature `alloc` it does nothing.
#[inline(always)]
pub fn prepare(context: &mut Context<'_>, reason: u32) -> Option<i32> {
    #[cfg(all(bareflow_module, feature = "alloc"))]
    return crate::heap::init_once(context, reason);
    #[cfg(not(all(bareflow_module, feature = "alloc")))]
    {
        let _ = (context, reason);
        None
    }
}
