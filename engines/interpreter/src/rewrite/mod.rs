//! A module as the runner takes it: the same code, and all that is carried in reach.
//!
//! The memory becomes an import, so that the runner decides where it lies. Active segments lose their contents, which the
//! runner copies itself. Globals and tables are exported, and a table is added with all functions that others can refer
//! to, by which the runner tells which function a reference is. For each segment that the code can drop there are two
//! functions: one traps if it is dropped, since it reads nothing at its end, and one drops it. All that is added comes
//! after what is there, so that nothing gets another number, and the code is copied as it is.

//!
//! ```text
//! droppable.rs    the segments that code can drop, and their functions
//! ```

mod droppable;

use alloc::string::ToString;
use alloc::vec::Vec;

use bareflow_portable::program::exports;
use bareflow_portable::refusal::Refusal;
use bareflow_portable::sections::{EntryFunctions, SegmentMode};
use bareflow_portable::state::StateLayout;
use wasm_encoder::{
    ConstExpr, DataCountSection, ElementMode, ElementSection, ElementSegment, Elements, Encode, EntityType, ExportKind,
    ExportSection, ImportSection, MemoryType, RefType, TableSection, TableType,
};

use crate::module::{Module, section};
use droppable::{bodies, droppable};

/// The bytes of the function type without parameters and results.
const NOTHING_TYPE: [u8; 3] = [0x60, 0, 0];

/// A rewritten module.
#[derive(Debug)]
pub struct Rewritten {
    /// The bytes.
    pub wasm: Vec<u8>,
    /// The segments with functions, in the order of these.
    pub droppable: Vec<u32>,
}

/// Rewrites a module.
///
/// # Errors
/// If there is no memory for it.
pub fn rewrite(module: &Module<'_>, layout: &StateLayout) -> Result<Rewritten, Refusal> {
    let (sections, droppable) = (&module.sections, droppable(&module.sections));
    let functions_table = sections.tables.len() as u32;
    let added = 2 * droppable.len() as u32;
    let mut wasm = Vec::new();
    // The added parts are small: a few bytes for each function and table.
    let room = module.wasm.len() + 16 * (module.referable.len() + sections.tables.len() + 4 * droppable.len() + 64);
    wasm.try_reserve(room).map_err(|_| Refusal::no_memory(room))?;
    wasm.extend_from_slice(&bareflow_engine::WASM_MARK);
    let mut put = Sections { wasm: &mut wasm };

    let types = if added > 0 { Some(&NOTHING_TYPE[..]) } else { None };
    put.extended(section::TYPE, module.entries(section::TYPE)?, types.into_iter());
    put.imports(module);
    let number = leb128(sections.types.len() as u32);
    let numbers = core::iter::repeat_n(&number[..], added as usize);
    put.extended(section::FUNCTION, module.entries(section::FUNCTION)?, numbers);
    put.tables(module, layout, module.referable.len() as u32 + added);
    put.extended(section::GLOBAL, module.entries(section::GLOBAL)?, core::iter::empty());
    put.exports(module, functions_table);
    put.elements(module, functions_table, added);
    if !sections.data.is_empty() {
        put.section(&DataCountSection { count: sections.data.len() as u32 });
    }
    let bodies: Vec<Vec<u8>> = droppable.iter().flat_map(bodies).collect();
    put.extended(section::CODE, module.entries(section::CODE)?, bodies.iter().map(Vec::as_slice));
    put.data(module);
    Ok(Rewritten { wasm, droppable: droppable.iter().map(|segment| segment.number).collect() })
}

/// The sections of the new module.
struct Sections<'out> {
    wasm: &'out mut Vec<u8>,
}

impl Sections<'_> {
    fn section(&mut self, section: &impl wasm_encoder::Section) {
        section.append_to(self.wasm);
    }

    /// Appends a section with entries of the old one, and new ones.
    fn extended<'bytes>(
        &mut self,
        id: u8,
        (count, entries): (u32, &[u8]),
        new: impl ExactSizeIterator<Item = &'bytes [u8]> + Clone,
    ) {
        let count = count + new.len() as u32;
        if count == 0 {
            return;
        }
        let count = leb128(count);
        let size = count.len() + entries.len() + new.clone().map(<[u8]>::len).sum::<usize>();
        self.wasm.push(id);
        size.encode(self.wasm);
        self.wasm.extend(count);
        self.wasm.extend_from_slice(entries);
        new.for_each(|bytes| self.wasm.extend_from_slice(bytes));
    }

    /// The runner knows the imports by their order, so they need no names.
    fn imports(&mut self, module: &Module<'_>) {
        let mut imports = ImportSection::new();
        let sections = &module.sections;
        sections.functions.iter().take(sections.imports.len()).for_each(|&number| {
            imports.import("", "", EntityType::Function(number));
        });
        if let Some(memory) = sections.memory {
            let (minimum, maximum) = (memory.initial_pages, memory.maximum_pages);
            let memory = MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None };
            imports.import("", "", EntityType::Memory(memory));
        }
        if !imports.is_empty() {
            self.section(&imports);
        }
    }

    fn tables(&mut self, module: &Module<'_>, layout: &StateLayout, functions: u32) {
        let table = |of_functions: bool, minimum: u64, maximum: u32| TableType {
            element_type: if of_functions { RefType::FUNCREF } else { RefType::EXTERNREF },
            table64: false,
            minimum,
            maximum: Some(maximum.into()),
            shared: false,
        };
        let mut tables = TableSection::new();
        for (found, place) in module.sections.tables.iter().zip(&layout.tables) {
            tables.table(table(found.of_functions, found.limits.initial, place.room));
        }
        tables.table(table(true, functions.into(), functions));
        self.section(&tables);
    }

    fn exports(&mut self, module: &Module<'_>, functions_table: u32) {
        let mut all = ExportSection::new();
        let (run, init, exit, entry) = match module.entry_functions {
            EntryFunctions::One(entry) => (None, None, None, Some(entry)),
            EntryFunctions::Each { run, init, exit } => (Some(run), init, exit, None),
        };
        let functions = [
            (exports::RUN, run),
            (exports::INIT, init),
            (exports::EXIT, exit),
            (exports::ENTRY, entry),
            (exports::START, module.sections.start),
        ];
        for (name, function) in functions {
            if let Some(function) = function {
                all.export(name, ExportKind::Func, function);
            }
        }
        for global in 0..module.sections.globals.len() as u32 {
            all.export(&(exports::GLOBAL.to_string() + &global.to_string()), ExportKind::Global, global);
        }
        for table in 0..module.sections.tables.len() as u32 {
            all.export(&(exports::TABLE.to_string() + &table.to_string()), ExportKind::Table, table);
        }
        all.export(exports::FUNCTIONS, ExportKind::Table, functions_table);
        self.section(&all);
    }

    fn elements(&mut self, module: &Module<'_>, functions_table: u32, added: u32) {
        let mut segments = ElementSection::new();
        for segment in &module.sections.elements {
            match segment.mode {
                SegmentMode::Active { .. } => {
                    let kind = if segment.of_functions { RefType::FUNCREF } else { RefType::EXTERNREF };
                    segments.passive(Elements::Expressions(kind, [][..].into()));
                }
                SegmentMode::Passive | SegmentMode::Declarative => {
                    segments.raw(module.wasm.get(segment.range.clone()).unwrap_or_default());
                }
            }
        }
        let first = module.sections.functions.len() as u32;
        let functions: Vec<u32> = module.referable.iter().copied().chain(first..first + added).collect();
        segments.segment(ElementSegment {
            mode: ElementMode::Active { table: Some(functions_table), offset: &ConstExpr::i32_const(0) },
            elements: Elements::Functions(functions.into()),
        });
        self.section(&segments);
    }

    fn data(&mut self, module: &Module<'_>) {
        let mut segments = wasm_encoder::DataSection::new();
        for segment in &module.sections.data {
            match segment.mode {
                SegmentMode::Active { .. } => segments.passive([]),
                SegmentMode::Passive | SegmentMode::Declarative => {
                    segments.raw(module.wasm.get(segment.range.clone()).unwrap_or_default())
                }
            };
        }
        if !segments.is_empty() {
            self.section(&segments);
        }
    }
}

/// Returns a number in LEB128.
fn leb128(number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    number.encode(&mut bytes);
    bytes
}
