//! The ways in which a call ends otherwise than by returning.

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

use bareflow_abi::traps::TrapKind;
use wasmi::errors::{ErrorKind, HostError};
use wasmi::{Error, TrapCode};

/// The end of a call that does not return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A trap of the language.
    Trap(TrapKind),
    /// Calls are nested too deeply.
    StackOverflow,
    /// An allocation failed: the program's own, or one of the interpreter's.
    OutOfHeap,
    /// The program panicked.
    Panic(Panic),
    /// The interpreter can't go on, for this reason.
    Interpreter(String),
}

/// A panic of the program. Its texts lie in the linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panic {
    /// The address and the length of the message.
    pub message: (u32, u32),
    /// The address and the length of the file's name.
    pub file: (u32, u32),
    /// The line.
    pub line: u32,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

// An import ends the program by it.
impl HostError for Fault {}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        if let Some(fault) = error.downcast_ref::<Fault>() {
            return fault.clone();
        }
        match error.as_trap_code() {
            Some(TrapCode::UnreachableCodeReached) => Fault::Trap(TrapKind::Unreachable),
            Some(TrapCode::MemoryOutOfBounds) => Fault::Trap(TrapKind::OutOfBoundsMemoryAccess),
            Some(TrapCode::TableOutOfBounds) => Fault::Trap(TrapKind::OutOfBoundsTableAccess),
            Some(TrapCode::IndirectCallToNull) => Fault::Trap(TrapKind::UninitializedElement),
            Some(TrapCode::BadSignature) => Fault::Trap(TrapKind::IndirectCallTypeMismatch),
            Some(TrapCode::IntegerDivisionByZero) => Fault::Trap(TrapKind::IntegerDivideByZero),
            Some(TrapCode::IntegerOverflow) => Fault::Trap(TrapKind::IntegerOverflow),
            Some(TrapCode::BadConversionToInteger) => Fault::Trap(TrapKind::InvalidConversionToInteger),
            Some(TrapCode::StackOverflow) => Fault::StackOverflow,
            Some(TrapCode::OutOfSystemMemory) => Fault::OutOfHeap,
            Some(TrapCode::OutOfFuel | TrapCode::GrowthOperationLimited) | None => Fault::of_interpreter(&error),
        }
    }
}

impl Fault {
    /// Returns the fault of a program that lacks something: the engine that made it is not this runner's.
    pub(crate) fn missing(what: &str, number: u32) -> Fault {
        let text = format!("the attached program has no {what} {number}: its engine does not fit; build it anew");
        Fault::Interpreter(text)
    }

    fn of_interpreter(error: &Error) -> Fault {
        match error.kind() {
            ErrorKind::Memory(wasmi::errors::MemoryError::OutOfSystemMemory)
            | ErrorKind::Table(wasmi::errors::TableError::OutOfSystemMemory) => Fault::OutOfHeap,
            _ => Fault::Interpreter(error.to_string()),
        }
    }
}
