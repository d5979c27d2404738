//! Calls from one module to another, through the service `call`: what they are asked with and
//! what comes of them. Which modules a module may call stands in its [`depends`](crate::depends).

use core::fmt;
use core::marker::PhantomData;

/// What the service `call` is given: whom to call with what. The service fills in what came of it.
#[repr(C)]
#[derive(Debug)]
pub struct CallArguments<'call> {
    /// The callee's name.
    pub name: *const u8,
    /// Its length in bytes.
    pub name_length: usize,
    /// The callee's input.
    pub input: *const u8,
    /// Its length in bytes.
    pub input_length: usize,
    /// Where the callee's output goes.
    pub output: *mut u8,
    /// Room there, in bytes.
    pub output_capacity: usize,
    /// Filled in: the bytes that were written there.
    pub output_length: usize,
    /// Filled in: what the callee returned.
    pub result: i32,
    /// Zero.
    pub reserved: u32,
    borrows: PhantomData<(&'call [u8], &'call mut [u8])>,
}

impl<'call> CallArguments<'call> {
    /// A call of that module, nothing of which is filled in.
    #[must_use]
    pub const fn new(name: &'call str, input: &'call [u8], output: &'call mut [u8]) -> CallArguments<'call> {
        CallArguments {
            name: name.as_ptr(),
            name_length: name.len(),
            input: input.as_ptr(),
            input_length: input.len(),
            output_capacity: output.len(),
            output: output.as_mut_ptr(),
            output_length: 0,
            result: 0,
            reserved: 0,
            borrows: PhantomData,
        }
    }
}

/// What came of a call that returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallReply {
    /// What the callee returned.
    pub result: i32,
    /// How many bytes it wrote to the output.
    pub output_length: usize,
}

/// What the service returns for a call that returned.
pub const CALL_OK: u32 = 0;

/// Why there is no result. The numbers are what the service returns, and never change.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallRefusal {
    /// The module's dependencies do not name the callee.
    NotDeclared = 1,
    /// No version of the callee that would do is loaded any more.
    NotLoaded = 2,
    /// A call of the callee is under way, and it is not reentrant.
    Busy = 3,
    /// The callee faulted, now or before.
    Faulted = 4,
    /// There was no memory for the call.
    NoMemory = 5,
    /// Too many calls lie in each other.
    TooDeep = 6,
    /// A reason that this version does not know.
    Unknown = u32::MAX,
}

impl CallRefusal {
    /// All that this version knows.
    pub const ALL: [CallRefusal; 6] = [
        CallRefusal::NotDeclared,
        CallRefusal::NotLoaded,
        CallRefusal::Busy,
        CallRefusal::Faulted,
        CallRefusal::NoMemory,
        CallRefusal::TooDeep,
    ];

    /// The reason that the service's number stands for.
    #[must_use]
    pub fn from_number(number: u32) -> CallRefusal {
        CallRefusal::ALL.into_iter().find(|known| *known as u32 == number).unwrap_or(CallRefusal::Unknown)
    }
}

impl fmt::Display for CallRefusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            CallRefusal::NotDeclared => "not declared: add the module to package.metadata.bareflow.depends",
            CallRefusal::NotLoaded => "not loaded: no version that would do is there any more; load one",
            CallRefusal::Busy => "busy: the module is running and is not reentrant; call it later",
            CallRefusal::Faulted => "faulted: the module went wrong; load it anew",
            CallRefusal::NoMemory => "no memory for the call; pass less",
            CallRefusal::TooDeep => "too deep: too many calls lie in each other; call from further out",
            CallRefusal::Unknown => {
                "refused for a reason this version does not know; rebuild against a newer bareflow-abi"
            }
        })
    }
}

impl core::error::Error for CallRefusal {}

crate::fingerprint::layout_of! {
    "CallArguments" CallArguments<'static> as CALL_FIELDS {
        name, name_length, input, input_length, output, output_capacity, output_length, result, reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_what_they_are() {
        assert_eq!(CallRefusal::ALL.map(|refused| refused as u32), [1, 2, 3, 4, 5, 6]);
        assert!(CallRefusal::ALL.into_iter().all(|refused| CallRefusal::from_number(refused as u32) == refused));
        assert_eq!([0, 7].map(CallRefusal::from_number), [CallRefusal::Unknown; 2]);
    }
}
