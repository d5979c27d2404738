//! What a module is doing, and what else its calls depend on, in one byte: so one look tells whether they go the usual
//! way.

use core::cell::Cell;

/// What a module is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing.
    Ready,
    /// A call.
    Running,
    /// Nothing any more: a call faulted.
    Stopped,
    /// It is being loaded: its slot is taken, and nobody finds it.
    Preparing,
}

/// The bits of the state.
const STATE: u8 = 0b11;

/// It is to go as soon as no call of it is under way: no new one begins.
const RETIRED: u8 = 1 << 2;

/// It may call others, or does not run in the kernel domain.
const SPECIAL: u8 = 1 << 3;

/// Of a module that is ready, is not to go, and is not special: zero.
pub(crate) struct Standing(Cell<u8>);

impl Standing {
    /// That of a module that is being loaded. It is special where it may call others, or does not run in the kernel
    /// domain.
    pub const fn preparing(is_special: bool) -> Standing {
        Standing(Cell::new(State::Preparing as u8 | if is_special { SPECIAL } else { 0 }))
    }

    /// Whether its calls go the usual way.
    #[inline(always)]
    pub const fn is_usual(&self) -> bool {
        self.0.get() == 0
    }

    /// What it is doing.
    #[inline]
    pub const fn state(&self) -> State {
        match self.0.get() & STATE {
            0 => State::Ready,
            1 => State::Running,
            2 => State::Stopped,
            _ => State::Preparing,
        }
    }

    /// Notes that a call begins of a module whose calls go the usual way.
    #[inline(always)]
    pub fn begin_usual(&self) {
        self.0.set(State::Running as u8);
    }

    /// Notes what it is doing from now on.
    #[inline(always)]
    pub fn set(&self, state: State) {
        self.0.set(self.0.get() & !STATE | state as u8);
    }

    /// Whether it may call others, or does not run in the kernel domain.
    pub const fn is_special(&self) -> bool {
        self.0.get() & SPECIAL != 0
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
        for is_special in [false, true] {
            let standing = Standing::preparing(is_special);
            for state in [State::Running, State::Stopped, State::Preparing, State::Ready] {
                standing.set(state);
                assert_eq!((standing.state(), standing.is_retired()), (state, false));
                assert_eq!(standing.is_usual(), state == State::Ready && !is_special);
            }
            if standing.is_usual() {
                standing.begin_usual();
                assert_eq!(standing.state(), State::Running);
            }
            standing.retire();
            standing.set(State::Ready);
            assert_eq!((standing.state(), standing.is_retired(), standing.is_usual()), (State::Ready, true, false));
        }
    }
}
