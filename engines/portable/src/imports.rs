//! The functions that a portable module may import, all of them from the module `bareflow`.

use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_INVOKE, SERVICE_LOG};

/// The name of the module that all imports come from.
pub const MODULE: &str = "bareflow";

/// A type of WebAssembly's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// 32 bits.
    I32,
    /// 64 bits.
    I64,
}

use Number::{I32, I64};

macro_rules! imports {
    ($($(#[$doc:meta])+ $import:ident = $name:literal, ($($parameter:ident),*) -> ($($result:ident)?), $services:expr;)+) => {
        /// A function that a portable module may import. Addresses are offsets in its linear memory.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Import {
            $($(#[$doc])+ $import,)+
        }

        impl Import {
            /// All imports.
            pub const ALL: &[Import] = &[$(Import::$import),+];

            /// Returns the name in the import section.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Import::$import => $name,)+
                }
            }

            /// Returns the types of the parameters.
            #[must_use]
            pub const fn parameters(self) -> &'static [Number] {
                match self {
                    $(Import::$import => &[$($parameter),*],)+
                }
            }

            /// Returns the types of the results: at most one.
            #[must_use]
            pub const fn results(self) -> &'static [Number] {
                match self {
                    $(Import::$import => &[$($result)?],)+
                }
            }

            /// Returns the services that the module uses by importing it, as `SERVICE_*` bits.
            #[must_use]
            pub const fn services(self) -> u32 {
                match self {
                    $(Import::$import => $services,)+
                }
            }
        }
    };
}

imports! {
    /// Returns the length of the call's input, in bytes.
    InputLength = "input_length", () -> (I32), 0;
    /// Copies from the input: offset there, address, length. Returns the number of bytes that there were.
    InputRead = "input_read", (I32, I32, I32) -> (I32), 0;
    /// Appends to the output: address, length. Returns the number of bytes for which there was room.
    OutputWrite = "output_write", (I32, I32) -> (I32), 0;
    /// Logs a line: address, length.
    Log = "log", (I32, I32) -> (), SERVICE_LOG;
    /// Returns the embedder's clock.
    Clock = "clock", () -> (I64), SERVICE_CLOCK;
    /// Ends the call as a panic: address and length of the message, address and length of the file's name, line.
    Panic = "panic", (I32, I32, I32, I32, I32) -> (), 0;
    /// Ends the call as one that used up its heap.
    OutOfHeap = "out_of_heap", () -> (), 0;
    /// Calls another module: address and length of its name, of the input, address and capacity of the output, and the address
    /// of two `i32` that receive the output's length and the result. Returns the status.
    Call = "call", (I32, I32, I32, I32, I32, I32, I32) -> (I32), SERVICE_CALL;
    /// Calls a method of an import: the numbers of import and method, the address of the frame's words, and the address of an
    /// `i64` that receives the value. Returns the status.
    Invoke = "invoke", (I64, I32, I32) -> (I32), SERVICE_INVOKE;
    /// Copies from an argument of the method that is called: its number, offset there, address, length. Returns the number of
    /// bytes that there were.
    ArgumentRead = "argument_read", (I32, I32, I32, I32) -> (I32), 0;
    /// Copies to such an argument: its number, offset there, address, length. Returns the number of bytes for which there was
    /// room.
    ArgumentWrite = "argument_write", (I32, I32, I32, I32) -> (I32), 0;
}

impl Import {
    /// Returns the import with this number, which is its place among all.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Import> {
        Import::ALL.get(number as usize).copied()
    }

    /// Finds an import by its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Import> {
        Import::ALL.iter().copied().find(|import| import.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_import_by_its_own_name() {
        for &import in Import::ALL {
            assert_eq!(Import::by_name(import.name()), Some(import));
            assert_eq!(Import::from_number(import as u32), Some(import));
        }
        assert_eq!(Import::by_name("fd_write"), None);
    }
}
