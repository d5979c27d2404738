//! The end of a call by an interface: a reply, whose status may be an error of the call itself.

use core::fmt;

/// The reason for which a call by an interface gave no answer. The numbers never change.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// The import is bound to no provider.
    NotBound = 1,
    /// Another call of the provider is running.
    Busy = 2,
    /// The provider faulted, in this call or an earlier one.
    Faulted = 3,
    /// The provider took longer than it may.
    OutOfTime = 4,
    /// Calls are nested too deeply.
    TooDeep = 5,
    /// The provider lost its state since the last call: what was agreed on before does not hold any more.
    ///
    /// Each user is told once; the next call is made.
    Restarted = 6,
    /// An argument is no value of its type.
    BadArgument = 7,
    /// The provider's answer is no value of its type.
    BadAnswer = 8,
    /// There was no memory for the call.
    NoMemory = 9,
    /// The provider has no such method.
    NoSuchMethod = 10,
}

impl CallError {
    /// All errors that this version knows, in the order of their numbers.
    pub const ALL: [CallError; 10] = [
        CallError::NotBound,
        CallError::Busy,
        CallError::Faulted,
        CallError::OutOfTime,
        CallError::TooDeep,
        CallError::Restarted,
        CallError::BadArgument,
        CallError::BadAnswer,
        CallError::NoMemory,
        CallError::NoSuchMethod,
    ];

    /// Returns the error with this number.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<CallError> {
        match number {
            1..=10 => Some(CallError::ALL[number as usize - 1]),
            _ => None,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            CallError::NotBound => "not bound: no provider; load one",
            CallError::Busy => "busy: another call of the provider is running; call it later",
            CallError::Faulted => "faulted: the provider went wrong; load it anew",
            CallError::OutOfTime => "out of time: the provider took longer than it may",
            CallError::TooDeep => "too deep: too many calls lie in each other; call from further out",
            CallError::Restarted => "restarted: the provider lost its state; begin anew",
            CallError::BadArgument => "bad argument: no value of its type",
            CallError::BadAnswer => "bad answer: the provider returned no value of the method's type",
            CallError::NoMemory => "no memory for the call; pass less",
            CallError::NoSuchMethod => "no such method: the provider was built against another interface",
        })
    }
}

impl core::error::Error for CallError {}

/// The reply of a call, in two registers.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The number of a [`Status`].
    pub status: u64,
    /// The value, if the status is [`Status::Returned`].
    pub value: u64,
}

/// The status of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The method returned `Ok`.
    Returned,
    /// The method returned `Err`: the number of one of the provider's own errors, 1 to 255, or 256 plus the number of a
    /// [`CallError`] that it met itself and handed on.
    Refused(u16),
    /// The call gave no answer.
    Failed(CallError),
}

/// The number of a [`Status::Refused`] for an error that the provider met itself, without that of the error.
pub(crate) const HANDED_ON: u32 = 0x100;

/// The largest number of an error that a method returned.
const MAX_REFUSAL: u64 = 0x1ff;

/// The number of a [`Status::Failed`], without that of the error.
const FAILED: u64 = 0x1_0000;

impl Status {
    /// Returns the number in a reply.
    #[must_use]
    pub const fn number(self) -> u64 {
        match self {
            Status::Returned => 0,
            Status::Refused(number) => number as u64,
            Status::Failed(error) => FAILED | error as u64,
        }
    }

    /// Returns the status with this number; any other number is a bad answer.
    #[must_use]
    pub const fn from_number(number: u64) -> Status {
        match number {
            0 => Status::Returned,
            1..=MAX_REFUSAL => Status::Refused(number as u16),
            _ => match CallError::from_number((number ^ FAILED) as u32) {
                Some(error) if number >> 32 == 0 => Status::Failed(error),
                _ => Status::Failed(CallError::BadAnswer),
            },
        }
    }

    /// Returns the status that a provider's entry returned. The caller has to know that it did return.
    #[must_use]
    pub const fn of_entry(result: i32) -> Status {
        const BAD_ARGUMENT: i32 = -(CallError::BadArgument as i32);
        const NO_SUCH_METHOD: i32 = -(CallError::NoSuchMethod as i32);
        match result {
            0 => Status::Returned,
            1..=0x1ff => Status::Refused(result as u16),
            BAD_ARGUMENT => Status::Failed(CallError::BadArgument),
            NO_SUCH_METHOD => Status::Failed(CallError::NoSuchMethod),
            _ => Status::Failed(CallError::BadAnswer),
        }
    }
}

impl From<Status> for Reply {
    fn from(status: Status) -> Reply {
        Reply { status: status.number(), value: 0 }
    }
}

impl From<CallError> for Reply {
    fn from(error: CallError) -> Reply {
        Status::Failed(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_what_they_are() {
        assert_eq!(CallError::ALL.map(|error| error as u32), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert!(CallError::ALL.into_iter().all(|error| CallError::from_number(error as u32) == Some(error)));
        assert_eq!([0, 11, u32::MAX].map(CallError::from_number), [None; 3]);
    }

    #[test]
    fn reads_the_status_that_it_writes() {
        let refused = [1, 255, 256, 511].map(Status::Refused);
        let failed = CallError::ALL.map(Status::Failed);
        for status in [Status::Returned].into_iter().chain(refused).chain(failed) {
            assert_eq!(Status::from_number(status.number()), status);
        }
        for number in [0x200, 0xffff, 0x1_0000, 0x1_000b, 0x1_0001_0001, u64::MAX] {
            assert_eq!(Status::from_number(number), Status::Failed(CallError::BadAnswer), "{number:#x}");
        }
    }

    #[test]
    fn takes_no_other_error_from_an_entry() {
        assert_eq!(Status::of_entry(0), Status::Returned);
        assert_eq!(Status::of_entry(7), Status::Refused(7));
        assert_eq!(Status::of_entry(-7), Status::Failed(CallError::BadArgument));
        assert_eq!(Status::of_entry(-10), Status::Failed(CallError::NoSuchMethod));
        for result in [0x200, i32::MAX, -1, -2, -3, -6, i32::MIN] {
            assert_eq!(Status::of_entry(result), Status::Failed(CallError::BadAnswer), "{result}");
        }
    }
}
