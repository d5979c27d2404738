//! Portable modules: what a module as WebAssembly and the engine that runs it agree on.
//!
//! `docs/portable.md` has the same for people.

use crate::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_INVOKE, SERVICE_LOG};

/// The custom section with a module's header and records, as in a blob.
pub const SECTION: &str = "bareflow.module";

/// The module that all imports come from.
pub const IMPORT_MODULE: &str = "bareflow";

/// The export of a module whose entry is made by [`module!`](crate::module): it takes a [`Reason`](crate::Reason).
pub const ENTRY: &str = "bareflow_entry";

/// The symbol of that export in the linked file, which has a function of the export's name with other arguments.
pub const ENTRY_SYMBOL: &str = "bareflow_portable_entry";

/// The export that does the work of a module that has no [`ENTRY`].
pub const RUN: &str = "run";

/// The exports of a module that has no [`ENTRY`], with the flags of a header that they stand for.
pub const ENTRIES: [(&str, u32); 3] =
    [(RUN, 0), ("init", crate::header::FLAG_INIT), ("exit", crate::header::FLAG_EXIT)];

/// The export of the linear memory.
pub const MEMORY: &str = "memory";

/// The size of a page of linear memory, in bytes.
pub const PAGE_SIZE: u32 = crate::memory::MEMORY_PAGE_SIZE as u32;

/// The type of an argument or a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// A number of 32 bits, or an offset in linear memory.
    I32,
    /// A number of 64 bits.
    I64,
}

/// A function that an engine provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Import {
    /// The name.
    pub name: &'static str,
    /// The types of its arguments.
    pub arguments: &'static [ValueType],
    /// The type of its result, if it has one.
    pub result: Option<ValueType>,
    /// The service that it stands for, as a `SERVICE_*` bit; 0 if every module may call it.
    pub service: u32,
}

const fn import(
    name: &'static str,
    arguments: &'static [ValueType],
    result: Option<ValueType>,
    service: u32,
) -> Import {
    Import { name, arguments, result, service }
}

use ValueType::{I32, I64};

/// The functions that a portable module can import.
pub const IMPORTS: [Import; 11] = [
    import("input_length", &[], Some(I32), 0),
    import("input_read", &[I32; 3], Some(I32), 0),
    import("output_write", &[I32; 2], Some(I32), 0),
    import("argument_read", &[I32; 4], Some(I32), 0),
    import("argument_write", &[I32; 4], Some(I32), 0),
    import("panic", &[I32; 5], None, 0),
    import("out_of_heap", &[], None, 0),
    import("log", &[I32; 2], None, SERVICE_LOG),
    import("clock", &[], Some(I64), SERVICE_CLOCK),
    import("call", &[I32; 7], Some(I32), SERVICE_CALL),
    import("invoke", &[I64, I32, I32], Some(I32), SERVICE_INVOKE),
];

/// Returns the import with this name.
#[must_use]
pub fn import_named(name: &str) -> Option<&'static Import> {
    IMPORTS.iter().find(|import| import.name == name)
}
