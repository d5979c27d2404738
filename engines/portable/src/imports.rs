//! The functions that a portable module may import, by numbers: what each takes and returns is in [`bareflow_abi::portable`].

pub use bareflow_abi::portable::{IMPORT_MODULE as MODULE, ValueType};
use bareflow_abi::portable::{IMPORTS, Import as Declared};

/// A function that a portable module may import. Addresses are offsets in its linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Import {
    /// Returns the length of the call's input, in bytes.
    InputLength,
    /// Copies from the input: offset there, address, length. Returns the number of bytes that there were.
    InputRead,
    /// Appends to the output: address, length. Returns the number of bytes for which there was room.
    OutputWrite,
    /// Copies from an argument of the method that is called: its number, offset there, address, length. Returns the number of
    /// bytes that there were.
    ArgumentRead,
    /// Copies to such an argument: its number, offset there, address, length. Returns the number of bytes for which there was
    /// room.
    ArgumentWrite,
    /// Ends the call as a panic: address and length of the message, address and length of the file's name, line.
    Panic,
    /// Ends the call as one that used up its heap.
    OutOfHeap,
    /// Logs a line: address, length.
    Log,
    /// Returns the embedder's clock.
    Clock,
    /// Calls another module: address and length of its name, of the input, address and capacity of the output, and the address
    /// of two `i32` that receive the output's length and the result. Returns the status.
    Call,
    /// Calls a method of an import: the numbers of import and method, the address of the frame's words, and the address of an
    /// `i64` that receives the value. Returns the status.
    Invoke,
}

impl Import {
    /// All imports, in the order of their numbers and of [`IMPORTS`].
    pub const ALL: [Import; IMPORTS.len()] = [
        Import::InputLength,
        Import::InputRead,
        Import::OutputWrite,
        Import::ArgumentRead,
        Import::ArgumentWrite,
        Import::Panic,
        Import::OutOfHeap,
        Import::Log,
        Import::Clock,
        Import::Call,
        Import::Invoke,
    ];

    const fn declared(self) -> &'static Declared {
        &IMPORTS[self as usize]
    }

    /// Returns the name in the import section.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.declared().name
    }

    /// Returns the types of the parameters.
    #[must_use]
    pub const fn parameters(self) -> &'static [ValueType] {
        self.declared().arguments
    }

    /// Returns the types of the results: at most one.
    #[must_use]
    pub const fn results(self) -> &'static [ValueType] {
        self.declared().result.as_slice()
    }

    /// Returns the services that the module uses by importing it, as `SERVICE_*` bits.
    #[must_use]
    pub const fn services(self) -> u32 {
        self.declared().service
    }

    /// Returns the import with this number, which is its place among all.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Import> {
        Import::ALL.get(number as usize).copied()
    }

    /// Finds an import by its name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Import> {
        Import::ALL.into_iter().find(|import| import.name() == name)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::{String, ToString};

    #[test]
    fn finds_each_import_by_its_own_name() {
        for import in Import::ALL {
            assert_eq!(Import::by_name(import.name()), Some(import));
            assert_eq!(Import::from_number(import as u32), Some(import));
            // Their names are those of the variants.
            let variant: String = import.name().split('_').collect();
            assert_eq!(std::format!("{import:?}").to_ascii_lowercase().to_string(), variant);
        }
        assert_eq!(Import::by_name("fd_write"), None);
    }
}
