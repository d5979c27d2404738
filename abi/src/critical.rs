//! Critical sections of modules that turn the feature `critical-section` on. Only in a module build.
//!
//! Nothing runs beside a module's call that could see its data: its calls never overlap unless it says so, which
//! [`Descriptor::new`](crate::entry::Descriptor::new) refuses together with this feature, and interrupts are the kernel's.

use critical_section::{Impl, RawRestoreState};

struct Alone;

critical_section::set_impl!(Alone);

// SAFETY: calls of the module do not overlap, and no code of it runs in interrupts, so that no other code can be in a
// section while one is. Sections may lie in each other: nothing is kept that the inner one could lose.
unsafe impl Impl for Alone {
    unsafe fn acquire() -> RawRestoreState {
        RawRestoreState::default()
    }

    unsafe fn release(_: RawRestoreState) {}
}
