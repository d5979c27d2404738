//! The sections of a valid module, as engines need them.
//!
//! ```text
//! read.rs               sections, read one after the other
//! constant.rs           the values of constant expressions
//! entry_functions.rs    the exported functions that the entry calls
//! ```

mod constant;
mod entry_functions;
mod read;

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use bareflow_abi::memory::MEMORY_PAGE_SIZE;
use bareflow_abi::traps::TrapKind;
use wasmparser::{FuncType, ValType};

pub use entry_functions::EntryFunctions;

use crate::description::Description;
use crate::imports::Import;
use crate::refusal::Refusal;
use crate::state::{Counts, MAX_BYTES, StateLayout, TableLimits};

/// The sections of a module.
#[derive(Debug, Default)]
pub struct Sections<'wasm> {
    /// The types of functions.
    pub types: Vec<FuncType>,
    /// The imported functions, which are the first of `functions`.
    pub imports: Vec<Import>,
    /// The number of each function's type.
    pub functions: Vec<u32>,
    /// The tables.
    pub tables: Vec<Table>,
    /// The linear memory.
    pub memory: Option<Memory>,
    /// The globals.
    pub globals: Vec<Global>,
    /// The exported functions, with their numbers.
    pub exports: Vec<(&'wasm str, u32)>,
    /// The start function.
    pub start: Option<u32>,
    /// The element segments.
    pub elements: Vec<ElementSegment>,
    /// The data segments.
    pub data: Vec<DataSegment<'wasm>>,
    /// The custom section `bareflow.module`.
    pub description: Option<Description<'wasm>>,
}

/// A table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// Whether its elements are references to functions.
    pub of_functions: bool,
    /// The limits.
    pub limits: TableLimits,
}

/// A linear memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The number of pages at first.
    pub initial_pages: u64,
    /// The most pages, if the module says it.
    pub maximum_pages: Option<u64>,
}

/// A global.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Global {
    /// The type.
    pub value_type: ValType,
    /// Whether its value can change.
    pub mutable: bool,
    /// The initial value's bits; a reference to a function is its number plus one, null is 0.
    pub value: u64,
}

impl Global {
    /// Returns whether its values are references to functions.
    #[must_use]
    pub fn is_function(&self) -> bool {
        self.value_type.as_reference_type().is_some_and(|reference| reference.is_func_ref())
    }
}

/// The mode of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentMode {
    /// Copied when the instance is made, to this offset of the memory, or of the table with this number.
    Active {
        /// The number of the table; 0 for the memory.
        table: u32,
        /// The offset, in bytes or elements.
        offset: u32,
    },
    /// Copied by operators.
    Passive,
    /// Not copied: it only declares references.
    Declarative,
}

/// An element segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementSegment {
    /// The mode.
    pub mode: SegmentMode,
    /// Whether its elements are references to functions.
    pub of_functions: bool,
    /// The elements: numbers of functions plus one, or 0 for null.
    pub items: Vec<u32>,
    /// The place of the segment in the module.
    pub range: Range<usize>,
}

/// A data segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSegment<'wasm> {
    /// The mode.
    pub mode: SegmentMode,
    /// The contents.
    pub bytes: &'wasm [u8],
    /// The place of the segment in the module.
    pub range: Range<usize>,
}

impl Sections<'_> {
    /// Returns the number of functions, imports included.
    #[must_use]
    pub fn function_count(&self) -> u32 {
        self.functions.len() as u32
    }

    /// Returns the type of a function; `None` if there is none with this number.
    #[must_use]
    pub fn type_of(&self, function: u32) -> Option<&FuncType> {
        self.types.get(*self.functions.get(function as usize)? as usize)
    }

    /// Returns the number of an exported function.
    #[must_use]
    pub fn exported(&self, name: &str) -> Option<u32> {
        self.exports.iter().find(|export| export.0 == name).map(|export| export.1)
    }

    /// Returns the services that the module uses by its imports, as `SERVICE_*` bits.
    #[must_use]
    pub fn services(&self) -> u32 {
        self.imports.iter().fold(0, |services, import| services | import.services())
    }

    /// Returns the trap in which making an instance ends: that of the first active segment that does not fit.
    #[must_use]
    pub fn instantiation_trap(&self) -> Option<TrapKind> {
        let table_fits = self.elements.iter().all(|segment| match segment.mode {
            SegmentMode::Active { table, offset } => {
                let size = self.tables.get(table as usize).map_or(0, |table| table.limits.initial);
                u64::from(offset) + segment.items.len() as u64 <= size
            }
            SegmentMode::Passive | SegmentMode::Declarative => true,
        });
        let memory_fits = self.data.iter().all(|segment| match segment.mode {
            SegmentMode::Active { offset, .. } => {
                u64::from(offset) + segment.bytes.len() as u64 <= self.initial_memory_bytes()
            }
            SegmentMode::Passive | SegmentMode::Declarative => true,
        });
        match (table_fits, memory_fits) {
            (false, _) => Some(TrapKind::OutOfBoundsTableAccess),
            (true, false) => Some(TrapKind::OutOfBoundsMemoryAccess),
            (true, true) => None,
        }
    }

    /// Returns the length of the memory at first, in bytes.
    #[must_use]
    pub fn initial_memory_bytes(&self) -> u64 {
        self.memory.map_or(0, |memory| memory.initial_pages * MEMORY_PAGE_SIZE)
    }

    /// Returns the layout of an instance's state.
    ///
    /// # Errors
    /// If it is too large.
    pub fn state_layout(&self) -> Result<StateLayout, Refusal> {
        let tables: Vec<_> = self.tables.iter().map(|table| table.limits).collect();
        let counts = Counts {
            globals: self.globals.len() as u32,
            tables: &tables,
            data_segments: self.data.len() as u32,
            element_segments: self.elements.len() as u32,
        };
        StateLayout::new(counts).ok_or_else(|| {
            Refusal::too_large(format!(
                "globals, tables and segments take more than {MAX_BYTES} bytes; use fewer, or smaller tables"
            ))
        })
    }
}
