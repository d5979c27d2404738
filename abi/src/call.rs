//! Calls from one module to another through the service `call`: arguments, replies and refusals.
//!
//! The modules that a module may call are listed in its [`depends`](crate::depends).

use core::fmt;
use core::marker::PhantomData;

/// The arguments of the service `call`. The service fills in the reply.
#[repr(C)]
#[derive(Debug)]
pub struct CallArguments<'call> {
    /// The callee's name.
    pub name: *const u8,
    /// The length of the name, in bytes.
    pub name_length: usize,
    /// The callee's input.
    pub input: *const u8,
    /// The length of the input, in bytes.
    pub input_length: usize,
    /// The buffer for the callee's output.
    pub output: *mut u8,
    /// The capacity of the output buffer, in bytes.
    pub output_capacity: usize,
    /// Filled in by the service: the number of bytes written to the output buffer.
    pub output_length: usize,
    /// Filled in by the service: the value that the callee returned.
    pub result: i32,
    /// Reserved: zero.
    pub reserved: u32,
    borrows: PhantomData<(&'call [u8], &'call mut [u8])>,
}

impl<'call> CallArguments<'call> {
    /// Creates the arguments of a call of the module `name`, with nothing filled in.
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

/// The reply of a call that returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallReply {
    /// The value that the callee returned.
    pub result: i32,
    /// The number of bytes that it wrote to the output.
    pub output_length: usize,
}

/// The status that the service returns for a call that returned.
pub const CALL_OK: u32 = 0;

/// The reason for which there is no result. The numbers are the service's status codes, and never change.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallRefusal {
    /// The module's dependencies do not name the callee.
    NotDeclared = 1,
    /// No version of the callee in the declared range is loaded any more.
    NotLoaded = 2,
    /// A call of the callee is running, and it is not reentrant.
    Busy = 3,
    /// The callee faulted, in this call or an earlier one.
    Faulted = 4,
    /// There was no memory for the call.
    NoMemory = 5,
    /// Calls are nested too deeply.
    TooDeep = 6,
    /// Since ABI 1.3. The callee has no such function, or no `run`.
    NoFunction = 7,
    /// A reason that this version does not know.
    Unknown = u32::MAX,
}

impl CallRefusal {
    /// All reasons that this version knows.
    pub const ALL: [CallRefusal; 7] = [
        CallRefusal::NotDeclared,
        CallRefusal::NotLoaded,
        CallRefusal::Busy,
        CallRefusal::Faulted,
        CallRefusal::NoMemory,
        CallRefusal::TooDeep,
        CallRefusal::NoFunction,
    ];

    /// Returns the reason for a status code of the service.
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
            CallRefusal::NoFunction => "no such function: the module exports others; see `inspect`",
            CallRefusal::Unknown => {
                "refused for a reason this version does not know; rebuild against a newer bareflow-abi"
            }
        })
    }
}

impl core::error::Error for CallRefusal {}

crate::field_layout::layout_of! {
    "CallArguments" CallArguments<'static> as CALL_FIELDS {
        name, name_length, input, input_length, output, output_capacity, output_length, result, reserved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_what_they_are() {
        assert_eq!(CallRefusal::ALL.map(|refused| refused as u32), [1, 2, 3, 4, 5, 6, 7]);
        assert!(CallRefusal::ALL.into_iter().all(|refused| CallRefusal::from_number(refused as u32) == refused));
        assert_eq!([0, 8].map(CallRefusal::from_number), [CallRefusal::Unknown; 2]);
    }
}
