//! A WebAssembly file as far as packing and showing need it: its sections, imports, exports and names.
//!
//! The code is not looked at: an engine validates all of a module before it runs. A reader of WebAssembly such as
//! `wasmparser` would be many times the size of what is needed here.

mod bytes;
mod read;
mod write;

pub use read::{Export, ExternKind, Import, Memory, Section, Wasm};
pub(crate) use write::Writer;

/// The numbers of sections.
pub mod section {
    #![allow(missing_docs, reason = "the standard's names")]

    pub const CUSTOM: u8 = 0;
    pub const TYPE: u8 = 1;
    pub const IMPORT: u8 = 2;
    pub const FUNCTION: u8 = 3;
    pub const TABLE: u8 = 4;
    pub const MEMORY: u8 = 5;
    pub const GLOBAL: u8 = 6;
    pub const EXPORT: u8 = 7;
    pub const START: u8 = 8;
    pub const ELEMENT: u8 = 9;
    pub const CODE: u8 = 10;
    pub const DATA: u8 = 11;
    pub const DATA_COUNT: u8 = 12;

    /// The names of the sections, by their numbers.
    pub const NAMES: [&str; 13] = [
        "custom",
        "type",
        "import",
        "function",
        "table",
        "memory",
        "global",
        "export",
        "start",
        "element",
        "code",
        "data",
        "data count",
    ];
}
