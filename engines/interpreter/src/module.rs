//! A valid module, and all that the engine has to know of it.

use alloc::format;
use alloc::vec::Vec;
use core::ops::Range;

use bareflow_portable::refusal::Refusal;
use bareflow_portable::sections::{EntryFunctions, Sections};
use bareflow_portable::types::FEATURES;
use wasmparser::{BinaryReader, Parser, Payload, Validator};

/// The most bytes of a module.
const MAX_BYTES: usize = 64 << 20;

/// The number of a section, as in the binary format.
pub mod section {
    #![allow(missing_docs, reason = "they are those of the specification")]
    pub const TYPE: u8 = 1;
    pub const FUNCTION: u8 = 3;
    pub const GLOBAL: u8 = 6;
    pub const CODE: u8 = 10;
    /// One more than the largest.
    pub const COUNT: usize = 14;
}

/// A valid module.
#[derive(Debug)]
pub struct Module<'wasm> {
    /// The bytes.
    pub wasm: &'wasm [u8],
    /// The sections.
    pub sections: Sections<'wasm>,
    /// The place of each section's contents.
    ranges: [Range<usize>; section::COUNT],
    /// The functions that the entry calls.
    pub entry_functions: EntryFunctions,
    /// The size of the largest function's code, in bytes.
    pub largest: usize,
    /// The functions that others can refer to, in ascending order.
    pub referable: Vec<u32>,
}

impl<'wasm> Module<'wasm> {
    /// Validates and reads a module.
    ///
    /// # Errors
    /// The reason for which it can't be interpreted.
    pub fn read(wasm: &'wasm [u8]) -> Result<Module<'wasm>, Refusal> {
        if wasm.len() > MAX_BYTES {
            return Err(Refusal::too_large(format!(
                "the module has {} bytes, expected at most {MAX_BYTES}",
                wasm.len()
            )));
        }
        Validator::new_with_features(FEATURES).validate_all(wasm)?;
        let (mut sections, mut largest) = (Sections::default(), 0);
        let mut ranges = [const { 0..0 }; section::COUNT];
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            if let Some((id, range)) = payload.as_section()
                && let Some(place) = ranges.get_mut(usize::from(id))
            {
                *place = range;
            }
            match payload {
                Payload::CodeSectionEntry(body) => largest = largest.max(body.range().len()),
                other => sections.read(other)?,
            }
        }
        let entry_functions = EntryFunctions::of(&sections)?;
        let referable = referable(&sections);
        Ok(Module { wasm, sections, ranges, entry_functions, largest, referable })
    }

    /// Returns the number of entries of a section, and their bytes.
    ///
    /// # Errors
    /// None for a valid module.
    pub fn entries(&self, section: u8) -> Result<(u32, &'wasm [u8]), Refusal> {
        let range = self.ranges.get(usize::from(section)).cloned().unwrap_or_default();
        let bytes = self.wasm.get(range).unwrap_or_default();
        if bytes.is_empty() {
            return Ok((0, bytes));
        }
        let mut reader = BinaryReader::new(bytes, 0);
        let count = reader.read_var_u32()?;
        Ok((count, bytes.get(reader.current_position()..).unwrap_or_default()))
    }
}

/// Returns the functions that others can refer to: by exports, globals and elements.
fn referable(sections: &Sections<'_>) -> Vec<u32> {
    let number_of = |element: u32| element.checked_sub(1);
    let globals = sections.globals.iter().filter(|global| global.is_function());
    let mut all: Vec<u32> = sections.exports.iter().map(|export| export.1).collect();
    all.extend(globals.filter_map(|global| number_of(global.value as u32)));
    all.extend(sections.elements.iter().flat_map(|segment| &segment.items).copied().filter_map(number_of));
    all.sort_unstable();
    all.dedup();
    all
}
