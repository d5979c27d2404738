//! The user of a card, as its driver knows it.

use bareflow_abi::state;

use crate::NicError;

state! {
    /// The module that uses a card: a part of its driver's state.
    pub struct User {
        is_there: bool = false,
        number: u32 = 0,
        has_memory: bool = false,
    }
}

impl User {
    /// Makes a module the user, which has given the card nothing yet.
    pub const fn set(&mut self, caller: u32) {
        *self = User { is_there: true, number: caller, has_memory: false };
    }

    /// Forgets it: the card was started anew.
    pub const fn forget(&mut self) {
        *self = User { is_there: false, number: 0, has_memory: false };
    }

    /// Checks that the module which calls is the user.
    ///
    /// # Errors
    /// [`NicError::Ended`] if the card has none, [`NicError::NotYours`] if another module is.
    pub const fn check(&self, caller: u32) -> Result<(), NicError> {
        match self.is_there {
            false => Err(NicError::Ended),
            true if self.number != caller => Err(NicError::NotYours),
            true => Ok(()),
        }
    }

    /// Checks that the module which calls is the user, and that a region has this lender: one that another module lent is not the
    /// caller's to name.
    ///
    /// # Errors
    /// Those of [`check`](User::check), and [`NicError::BadRegion`] if it has not.
    pub fn check_lender<E>(&self, caller: u32, lender: Result<u32, E>) -> Result<(), NicError> {
        self.check(caller)?;
        match lender {
            Ok(lender) if lender == caller => Ok(()),
            _ => Err(NicError::BadRegion),
        }
    }

    /// Notes that the user gave the card memory.
    pub const fn give_memory(&mut self) {
        self.has_memory = true;
    }

    /// Returns whether the user gave the card memory since it was started.
    pub const fn has_memory(&self) -> bool {
        self.has_memory
    }
}

#[cfg(test)]
mod tests {
    use bareflow_abi::state::State;

    use super::*;

    #[test]
    fn a_card_is_that_of_the_last_module_that_began() {
        let mut user = User::INITIAL;
        assert_eq!(user.check(0), Err(NicError::Ended));
        user.set(3);
        user.give_memory();
        assert_eq!((user.check(3), user.check(4), user.has_memory()), (Ok(()), Err(NicError::NotYours), true));
        user.set(4);
        assert_eq!((user.check(3), user.check(4), user.has_memory()), (Err(NicError::NotYours), Ok(()), false));
        user.forget();
        assert_eq!(user.check(4), Err(NicError::Ended));
    }

    #[test]
    fn rejects_a_region_that_another_module_lent() {
        let mut user = User::INITIAL;
        user.set(3);
        assert_eq!(user.check_lender(3, Ok::<_, ()>(3)), Ok(()));
        for lender in [Ok(4), Err(())] {
            assert_eq!(user.check_lender(3, lender), Err(NicError::BadRegion));
        }
        assert_eq!(user.check_lender(4, Ok::<_, ()>(4)), Err(NicError::NotYours));
    }
}
