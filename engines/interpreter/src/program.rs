//! The program of a module: what is prepared for the runner.

use alloc::vec::Vec;

use bareflow_portable::program::{HAS_MEMORY, Numbers, Program, WANTS_INIT, Words};
use bareflow_portable::refusal::Refusal;
use bareflow_portable::sections::SegmentMode;
use bareflow_portable::state::StateLayout;

use crate::module::Module;
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
        let sections = &module.sections;
        let layout = sections.state_layout()?;
        let rewritten = rewrite(module, &layout)?;
        let mut elements = Vec::new();
        for segment in &sections.elements {
            if let SegmentMode::Active { table, offset } = segment.mode {
                let head = [table, offset, segment.items.len() as u32];
                elements.extend(bytes_of(head.into_iter().chain(segment.items.iter().copied())));
            }
        }
        let (mut data, mut data_bytes) = (Vec::new(), Vec::new());
        for segment in &sections.data {
            if let SegmentMode::Active { offset, .. } = segment.mode {
                let bytes = segment.bytes;
                data.extend(bytes_of([offset, bytes.len() as u32].into_iter()));
                data_bytes.try_reserve(bytes.len()).map_err(|_| Refusal::no_memory(bytes.len()))?;
                data_bytes.extend_from_slice(bytes);
            }
        }
        let modes = sections.data.iter().map(|segment| segment.mode);
        let modes = modes.chain(sections.elements.iter().map(|segment| segment.mode));
        let dropped = modes.map(|mode| mode != SegmentMode::Passive);
        Ok(Prepared {
            imports: bytes_of(sections.imports.iter().map(|import| *import as u32)),
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
        let sections = &module.sections;
        let description = sections.description.as_ref();
        Program {
            numbers: Numbers {
                settings: setting(sections.memory.is_some(), HAS_MEMORY) | setting(wants_init, WANTS_INIT),
                minimum_pages: sections.memory.map_or(0, |memory| memory.initial_pages as u32),
                trap: sections.instantiation_trap().map_or(0, |trap| trap as u32 + 1),
                globals: sections.globals.len() as u32,
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

/// Returns words as bytes.
fn bytes_of(words: impl Iterator<Item = u32>) -> Vec<u8> {
    words.flat_map(u32::to_le_bytes).collect()
}
