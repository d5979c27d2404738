//! The read-only data.
//!
//! First an entry for each reference to a function, if there are tables: the number of its type, and the distance of its code
//! from here; the entry of null, which is the first, has no type. Then the segments, the list of the active ones, the
//! shapes of the methods that the module imports, and the arguments of those that it exports, if it asks for them.

use alloc::vec::Vec;

use bareflow_abi::interface::bindings::Entries;
use bareflow_portable::refusal::Refusal;
use bareflow_portable::sections::SegmentMode;

use super::arguments;
use crate::module::Module;

/// The size of an entry of the list of active data segments: offset in memory, length, offset in the read-only data.
pub(crate) const ACTIVE_BYTES: u32 = 12;

/// The size of a function's entry, in bytes.
const FUNCTION_BYTES: usize = 8;

/// The number of no type.
const NO_TYPE: u32 = u32::MAX;

/// The read-only data, of which the functions' distances are not yet known.
pub(crate) struct Rodata {
    bytes: Vec<u8>,
    has_functions: bool,
    /// The offset of each data segment's bytes.
    pub data: Vec<u32>,
    /// The offset of each passive element segment's elements; 0 for others.
    pub elements: Vec<u32>,
    /// The offset of the list of active data segments.
    pub active: u32,
    pub active_count: u32,
    pub methods: Methods,
    /// The offset of the [arguments](super::arguments) of exported functions, and the number of these.
    pub arguments: (u32, u32),
}

/// The shapes of imported methods.
pub(crate) struct Methods {
    /// The offset of the list of imports: the offset of the shapes of its methods, and their number.
    pub offset: u32,
    pub imports: u32,
}

impl Rodata {
    pub fn new(module: &Module<'_>, bindings: Option<&[u8]>) -> Result<Rodata, Refusal> {
        let mut rodata = Rodata {
            bytes: Vec::new(),
            has_functions: !module.sections.tables.is_empty(),
            data: Vec::new(),
            elements: Vec::new(),
            active: 0,
            active_count: 0,
            methods: Methods { offset: 0, imports: 0 },
            arguments: (0, 0),
        };
        if rodata.has_functions {
            rodata.words(&[NO_TYPE, 0]);
            for index in &module.sections.functions {
                rodata.words(&[module.canonical_types[*index as usize], 0]);
            }
        }
        for data in &module.sections.data {
            rodata.data.push(rodata.bytes.len() as u32);
            rodata.bytes.extend(data.bytes);
        }
        rodata.align();
        for elements in &module.sections.elements {
            let is_passive = elements.mode == SegmentMode::Passive;
            rodata.elements.push(if is_passive { rodata.bytes.len() as u32 } else { 0 });
            if is_passive {
                rodata.words(&elements.items);
            }
        }
        rodata.active = rodata.bytes.len() as u32;
        for (index, data) in module.sections.data.iter().enumerate() {
            let SegmentMode::Active { offset, .. } = data.mode else { continue };
            if !data.bytes.is_empty() {
                rodata.words(&[offset, data.bytes.len() as u32, rodata.data[index]]);
            }
        }
        rodata.active_count = (rodata.bytes.len() as u32 - rodata.active) / ACTIVE_BYTES;
        rodata.align();
        let bindings = bindings.unwrap_or_default();
        rodata.add_methods(bindings)?;
        if module.reaches_arguments() {
            let functions = arguments::encode(bindings);
            rodata.arguments = (rodata.bytes.len() as u32, functions.len() as u32);
            functions.iter().for_each(|bytes| rodata.bytes.extend(bytes));
        }
        Ok(rodata)
    }

    /// Writes the functions' distances from the read-only data, and returns all bytes.
    pub fn with_functions(&self, distances: impl Iterator<Item = i32>) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if self.has_functions {
            for (entry, distance) in bytes.chunks_exact_mut(FUNCTION_BYTES).skip(1).zip(distances) {
                entry[4..].copy_from_slice(&distance.to_le_bytes());
            }
        }
        bytes
    }

    fn add_methods(&mut self, bindings: &[u8]) -> Result<(), Refusal> {
        let mut shapes = Vec::new();
        if !bindings.is_empty() {
            Entries::check(bindings).map_err(|(number, why)| {
                Refusal::invalid(alloc::format!("entry {number} of the bindings is wrong: {}", why.what()))
            })?;
        }
        for entry in Entries::new(bindings).imports() {
            shapes.push(entry.methods().map(|method| method.shape.bits()).collect::<Vec<_>>());
        }
        self.methods = Methods { offset: self.bytes.len() as u32, imports: shapes.len() as u32 };
        let mut first = self.bytes.len() + 8 * shapes.len();
        for methods in &shapes {
            self.words(&[first as u32, methods.len() as u32]);
            first += 4 * methods.len();
        }
        for methods in &shapes {
            self.words(methods);
        }
        Ok(())
    }

    fn words(&mut self, words: &[u32]) {
        for word in words {
            self.bytes.extend(word.to_le_bytes());
        }
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
    }
}
