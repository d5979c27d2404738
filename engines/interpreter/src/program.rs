//! The program of a module: what is prepared for the runner.

use alloc::format;
use alloc::vec::Vec;

use bareflow_abi::traps::TrapKind;
use bareflow_engine::PAGE_BYTES;
use bareflow_portable::program::{HAS_MEMORY, Numbers, Program, WANTS_INIT, Words};
use bareflow_portable::state::{Counts, MAX_BYTES, StateLayout, TableLimits};

use crate::module::{Data, Elements, Module};
use crate::refusal::Refusal;
use crate::rewrite::{Rewritten, rewrite};

/// The parts of a program, before they are put together.
#[derive(Debug)]
pub struct Prepared {
    /// The layout of the instance.
    pub layout: StateLayout,
    rewritten: Rewritten,
    imports: Vec<u8>,
    tables: Vec<u8>,
    functions: Vec<u8>,
    elements: Vec<u8>,
    data: Vec<u8>,
    data_bytes: Vec<u8>,
    dropped: Vec<u8>,
    droppable: Vec<u8>,
}

impl Prepared {
    /// Prepares a module.
    ///
    /// # Errors
    /// If it is too large.
    pub fn of(module: &Module<'_>) -> Result<Prepared, Refusal> {
        let limits: Vec<TableLimits> = module.tables.iter().map(|table| table.limits).collect();
        let layout = StateLayout::new(Counts {
            globals: module.globals.len() as u32,
            tables: &limits,
            data_segments: module.data.len() as u32,
            element_segments: module.elements.len() as u32,
        });
        let layout = layout.ok_or_else(|| {
            Refusal::too_large(format!("globals and tables take more than {MAX_BYTES} bytes; use smaller tables"))
        })?;
        let rewritten = rewrite(module, &layout)?;
        let mut elements = Vec::new();
        for segment in &module.elements {
            if let Elements::Active { table, offset, elements: all, .. } = segment {
                let head = [*table, *offset, all.len() as u32];
                elements.extend(bytes_of(head.into_iter().chain(all.iter().copied())));
            }
        }
        let (mut data, mut data_bytes) = (Vec::new(), Vec::new());
        for segment in &module.data {
            if let Data::Active { address, bytes } = segment {
                data.extend(bytes_of([*address, bytes.len() as u32].into_iter()));
                data_bytes.try_reserve(bytes.len()).map_err(|_| Refusal::no_memory(bytes.len()))?;
                data_bytes.extend_from_slice(bytes);
            }
        }
        let dropped = module.data.iter().map(|segment| matches!(segment, Data::Active { .. }));
        let dropped = dropped.chain(module.elements.iter().map(|segment| !matches!(segment, Elements::Passive { .. })));
        Ok(Prepared {
            imports: bytes_of(module.imports.iter().map(|import| *import as u32)),
            tables: bytes_of(layout.tables.iter().map(|table| table.offset)),
            functions: bytes_of(module.referable.iter().copied()),
            elements,
            data,
            data_bytes,
            dropped: dropped.map(u8::from).collect(),
            droppable: bytes_of(rewritten.droppable.iter().copied()),
            layout,
            rewritten,
        })
    }

    /// Puts the program together; its entry wants to initialise or not.
    #[must_use]
    pub fn program<'parts>(&'parts self, module: &Module<'parts>, wants_init: bool) -> Program<'parts> {
        let words = |bytes: &'parts [u8]| Words::new(bytes).unwrap_or_default();
        let setting = |is_set, setting| if is_set { setting } else { 0 };
        let description = module.description.as_ref();
        Program {
            numbers: Numbers {
                settings: setting(module.memory.is_some(), HAS_MEMORY) | setting(wants_init, WANTS_INIT),
                minimum_pages: module.memory.map_or(0, |memory| memory.0 as u32),
                trap: trap(module).map_or(0, |trap| trap as u32 + 1),
                globals: module.globals.len() as u32,
                dropped: self.layout.data_dropped,
            },
            imports: words(&self.imports),
            tables: words(&self.tables),
            functions: words(&self.functions),
            elements: words(&self.elements),
            data: words(&self.data),
            data_bytes: &self.data_bytes,
            dropped: &self.dropped,
            droppable: words(&self.droppable),
            bindings: description.and_then(|description| description.bindings()).unwrap_or_default(),
            wasm: &self.rewritten.wasm,
        }
    }
}

/// Returns the trap in which making an instance ends: that of the first active segment that does not fit.
fn trap(module: &Module<'_>) -> Option<TrapKind> {
    let table_fits = module.elements.iter().all(|segment| match segment {
        Elements::Active { table, offset, elements, .. } => {
            let size = module.tables.get(*table as usize).map_or(0, |table| table.limits.initial);
            u64::from(*offset) + elements.len() as u64 <= size
        }
        _ => true,
    });
    let memory = module.memory.map_or(0, |memory| memory.0 * PAGE_BYTES);
    let memory_fits = module.data.iter().all(|segment| match segment {
        Data::Active { address, bytes } => u64::from(*address) + bytes.len() as u64 <= memory,
        Data::Passive { .. } => true,
    });
    match (table_fits, memory_fits) {
        (false, _) => Some(TrapKind::OutOfBoundsTableAccess),
        (true, false) => Some(TrapKind::OutOfBoundsMemoryAccess),
        (true, true) => None,
    }
}

/// Returns words as bytes.
fn bytes_of(words: impl Iterator<Item = u32>) -> Vec<u8> {
    words.flat_map(u32::to_le_bytes).collect()
}
