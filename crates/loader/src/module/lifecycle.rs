//! The module's lifecycle state and call restrictions, packed into one byte.
//!
//! The fast path thus needs a single load and compare.

use core::cell::Cell;

use super::Failure;

/// The lifecycle state of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ModuleState {
    /// Loaded; no call is running.
    Live,
    /// A call is running.
    Running,
    /// Being loaded: its slot is taken, but it can't be found yet.
    Loading,
    /// A call faulted; no further call begins. Others that overlapped it may still be running.
    Stopped,
}

/// The bits of the states up to `Loading`.
const STATE_BITS: u8 = 0b11;

/// Retired: accepts no new calls; freed when the last running call has returned.
const RETIRED: u8 = 1 << 2;

/// Not eligible for the fast path: it may call other modules, or does not run in the kernel domain.
const SLOW_PATH_ONLY: u8 = 1 << 3;

/// Stopped. A bit of its own, so that the end of a call that overlapped the faulting one does not take it back.
const STOPPED: u8 = 1 << 4;

/// Interrupted: events took time of the running call, which is part of its reading.
const INTERRUPTED: u8 = 1 << 5;

/// Restarts after the running call: someone asked for it meanwhile.
const RESTARTS: u8 = 1 << 6;

/// The packed byte. Zero means live, not retired, and eligible for the fast path.
pub(crate) struct Lifecycle(Cell<u8>);

impl Lifecycle {
    /// Creates the byte of a module that is being loaded.
    ///
    /// `is_slow_path_only`: the module may call others, or does not run in the kernel domain.
    pub const fn loading(is_slow_path_only: bool) -> Lifecycle {
        Lifecycle(Cell::new(ModuleState::Loading as u8 | if is_slow_path_only { SLOW_PATH_ONLY } else { 0 }))
    }

    /// Returns whether the next call may take the fast path.
    #[inline(always)]
    pub const fn is_fast(&self) -> bool {
        self.0.get() == 0
    }

    /// Returns the lifecycle state.
    #[inline]
    pub const fn state(&self) -> ModuleState {
        match self.0.get() & (STATE_BITS | STOPPED) {
            0 => ModuleState::Live,
            1 => ModuleState::Running,
            2 => ModuleState::Loading,
            _ => ModuleState::Stopped,
        }
    }

    /// Marks the module as running. Its calls must be eligible for the fast path.
    #[inline(always)]
    pub fn begin_fast(&self) {
        self.0.set(ModuleState::Running as u8);
    }

    /// Sets the lifecycle state, which is none of a stopped module.
    #[inline(always)]
    pub fn set(&self, state: ModuleState) {
        self.0.set(self.0.get() & !STATE_BITS | state as u8);
    }

    /// Returns whether the module is excluded from the fast path.
    ///
    /// It is if it may call others, or does not run in the kernel domain.
    pub const fn is_slow_path_only(&self) -> bool {
        self.0.get() & SLOW_PATH_ONLY != 0
    }

    /// Stops the module.
    pub fn stop(&self) {
        self.0.set(self.0.get() | STOPPED);
    }

    /// Makes a stopped module of which no call is running live again.
    pub fn resume(&self) {
        self.0.set(self.0.get() & !STOPPED);
    }

    /// Returns whether the module is retired.
    #[inline]
    pub const fn is_retired(&self) -> bool {
        self.0.get() & RETIRED != 0
    }

    /// Returns whether there is something to do after a call: the module is retired, or restarts, or the call was interrupted.
    #[inline]
    pub const fn needs_care(&self) -> bool {
        self.0.get() & (RETIRED | INTERRUPTED | RESTARTS) != 0
    }

    /// Sets or clears that the module restarts after the running call.
    pub fn set_restarts(&self, restarts: bool) {
        self.0.set(self.0.get() & !RESTARTS | if restarts { RESTARTS } else { 0 });
    }

    /// Returns whether the module restarts after the running call.
    pub const fn restarts(&self) -> bool {
        self.0.get() & RESTARTS != 0
    }

    /// Notes that a running call was interrupted.
    #[cfg(feature = "events")]
    pub fn interrupt(&self) {
        self.0.set(self.0.get() | INTERRUPTED);
    }

    /// Returns whether a call was interrupted, and forgets it.
    #[cfg(feature = "events")]
    pub fn take_interrupted(&self) -> bool {
        self.0.replace(self.0.get() & !INTERRUPTED) & INTERRUPTED != 0
    }

    /// Returns whether further calls of the module may begin, which a call meanwhile may have ended.
    #[inline]
    pub const fn may_go_on(&self) -> Result<(), Failure> {
        match self.0.get() & (RETIRED | STOPPED) {
            0 => Ok(()),
            STOPPED => Err(Failure::Refused),
            _ => Err(Failure::NotLoaded),
        }
    }

    /// Retires the module. It is freed when no call of it is running.
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
            for state in [ModuleState::Running, ModuleState::Loading, ModuleState::Live] {
                lifecycle.set(state);
                assert_eq!((lifecycle.state(), lifecycle.is_retired()), (state, false));
                assert_eq!(lifecycle.is_fast(), state == ModuleState::Live && !is_slow_path_only);
                lifecycle.stop();
                lifecycle.set(state);
                assert_eq!((lifecycle.state(), lifecycle.is_fast()), (ModuleState::Stopped, false));
                lifecycle.resume();
                assert_eq!(lifecycle.state(), state);
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
