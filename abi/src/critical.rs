//! Critical sections of modules that enable the feature `critical-section`. Only in a module build.
//!
//! Nothing that runs concurrently with a module's call can see its data. The module's calls never overlap unless it is
//! reentrant, which [`Descriptor::new`](crate::entry::Descriptor::new) refuses together with this feature. Interrupts
//! are handled by the kernel.

use critical_section::{Impl, RawRestoreState};

struct Alone;

critical_section::set_impl!(Alone);

// SAFETY: calls of the module do not overlap, and none of its code runs in interrupts, so no other code can enter a
// section while one is active. Sections may nest, since there is no state that the inner one could lose.
unsafe impl Impl for Alone {
    unsafe fn acquire() -> RawRestoreState {
        RawRestoreState::default()
    }

    unsafe fn release(_: RawRestoreState) {}
}
