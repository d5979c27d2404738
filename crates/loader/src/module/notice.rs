//! Notices of what supervision did, for an embedder that tells people.

use core::cell::RefCell;
use core::fmt;

use allocator_api2::alloc::Allocator;
use allocator_api2::vec::Vec;

use crate::error::LoadError;
use crate::fault::Fault;
use crate::name::{Name, Version};

/// The number of notices that are kept until they are taken.
const CAPACITY: usize = 8;

/// A notice of what happened to a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The module's name.
    pub name: Name,
    /// The module's version.
    pub version: Version,
    /// The happening.
    pub happening: Happening,
}

/// A happening in the life of a supervised module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Happening {
    /// A fault, after which it is going to be restarted.
    Waits {
        /// The fault.
        fault: Fault,
        /// The time until then, in microseconds.
        starts_in_us: u64,
    },
    /// A fault, after which it is going to be replaced by the version before it.
    GivesWay(Fault),
    /// A restart.
    Restarted,
    /// A restart or a return to the version before it that failed, for this reason.
    Refused(LoadError),
    /// A fault, after which it stays stopped.
    Stopped(Option<Fault>),
    /// The return to this version after a later one had faulted.
    FellBack {
        /// The later version.
        from: Version,
    },
}

/// Shows what happened on one line.
impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} ", self.name, self.version)?;
        match &self.happening {
            Happening::Waits { fault, starts_in_us } => {
                write!(out, "faulted ({fault}) and starts again in {} ms", starts_in_us / 1000)
            }
            Happening::GivesWay(fault) => write!(out, "faulted ({fault}) and gives way to the version before it"),
            Happening::Restarted => out.write_str("was restarted"),
            Happening::Refused(error) => write!(out, "was not started again: {error}"),
            Happening::Stopped(None) => out.write_str("stays stopped"),
            Happening::Stopped(Some(fault)) => write!(out, "faulted ({fault}) and stays stopped"),
            Happening::FellBack { from } => write!(out, "runs again, since {from} faulted"),
        }
    }
}

/// The last notices, the oldest first.
pub(crate) struct Notices<A: Allocator>(RefCell<Option<Vec<Notice, A>>>);

impl<A: Allocator> Notices<A> {
    /// Creates a list without room for any.
    pub const fn new() -> Notices<A> {
        Notices(RefCell::new(None))
    }

    /// Makes room for notices, if there is none yet. Returns whether there is.
    pub fn reserve(&self, allocator: A) -> bool {
        let mut notices = self.0.borrow_mut();
        if notices.is_none() {
            let mut made = Vec::new_in(allocator);
            *notices = made.try_reserve_exact(CAPACITY).is_ok().then_some(made);
        }
        notices.is_some()
    }

    /// Adds a notice, in place of the oldest one if there is no room.
    pub fn add(&self, notice: Notice) {
        if let Some(notices) = &mut *self.0.borrow_mut() {
            if notices.len() == CAPACITY {
                notices.remove(0);
            }
            notices.push(notice);
        }
    }

    /// Takes the oldest notice.
    pub fn take(&self) -> Option<Notice> {
        let mut notices = self.0.borrow_mut();
        let notices = notices.as_mut().filter(|notices| !notices.is_empty())?;
        Some(notices.remove(0))
    }
}
