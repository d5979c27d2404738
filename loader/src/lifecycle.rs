//! What a module is doing, and what else its calls depend on, in one byte: so one look tells whether they take the fast
//! path.

use core::cell::Cell;

/// What a module is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModuleState {
    /// Nothing.
    Live,
    /// A call.
    Running,
    /// Nothing any more: a call faulted.
    Stopped,
    /// It is being loaded: its slot is taken, and nobody finds it.
    Loading,
}

/// The bits of the state.
const STATE_BITS: u8 = 0b11;

/// It is to go as soon as no call of it is under way: no new one begins.
const RETIRED: u8 = 1 << 2;

/// It may call others, or does not run in the kernel domain.
const SLOW_PATH_ONLY: u8 = 1 << 3;

/// Of a module that is live, is not to go, and may take the fast path: zero.
pub(crate) struct Lifecycle(Cell<u8>);

impl Lifecycle {
    /// That of a module that is being loaded. It takes no fast path where it may call others, or does not run in the
    /// kernel domain.
    pub const fn loading(is_slow_path_only: bool) -> Lifecycle {
        Lifecycle(Cell::new(ModuleState::Loading as u8 | if is_slow_path_only { SLOW_PATH_ONLY } else { 0 }))
    }

    /// Whether its calls take the fast path.
    #[inline(always)]
    pub const fn is_fast(&self) -> bool {
        self.0.get() == 0
    }

    /// What it is doing.
    #[inline]
    pub const fn state(&self) -> ModuleState {
        match self.0.get() & STATE_BITS {
            0 => ModuleState::Live,
            1 => ModuleState::Running,
            2 => ModuleState::Stopped,
            _ => ModuleState::Loading,
        }
    }

    /// Notes that a call begins of a module whose calls take the fast path.
    #[inline(always)]
    pub fn begin_fast(&self) {
        self.0.set(ModuleState::Running as u8);
    }

    /// Notes what it is doing from now on.
    #[inline(always)]
    pub fn set(&self, state: ModuleState) {
        self.0.set(self.0.get() & !STATE_BITS | state as u8);
    }

    /// Whether it may call others, or does not run in the kernel domain.
    pub const fn is_slow_path_only(&self) -> bool {
        self.0.get() & SLOW_PATH_ONLY != 0
    }

    /// Whether it is to go.
    #[inline]
    pub const fn is_retired(&self) -> bool {
        self.0.get() & RETIRED != 0
    }

    /// Has it go as soon as it can.
    pub fn retire(&self) {
        self.0.set(self.0.get() | RETIRED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_changes_nothing_else() {
        for is_slow_path_only in [false, true] {
            let lifecycle = Lifecycle::loading(is_slow_path_only);
            for state in [ModuleState::Running, ModuleState::Stopped, ModuleState::Loading, ModuleState::Live] {
                lifecycle.set(state);
                assert_eq!((lifecycle.state(), lifecycle.is_retired()), (state, false));
                assert_eq!(lifecycle.is_fast(), state == ModuleState::Live && !is_slow_path_only);
            }
            if lifecycle.is_fast() {
                lifecycle.begin_fast();
                assert_eq!(lifecycle.state(), ModuleState::Running);
            }
            lifecycle.retire();
            lifecycle.set(ModuleState::Live);
            assert_eq!(
                (lifecycle.state(), lifecycle.is_retired(), lifecycle.is_fast()),
                (ModuleState::Live, true, false)
            );
        }
    }
}
