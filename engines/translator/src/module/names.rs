//! The functions' names.

use alloc::vec::Vec;

use wasmparser::{Name, NameSectionReader};

/// Reads the functions' names. What is wrong with them is of no consequence: the rest is left out.
pub(super) fn read<'wasm>(names: &mut Vec<(u32, &'wasm str)>, section: NameSectionReader<'wasm>) {
    for name in section {
        let Ok(Name::Function(map)) = name else { continue };
        for naming in map {
            let Ok(naming) = naming else { break };
            names.push((naming.index, naming.name));
        }
    }
    names.sort_by_key(|name| name.0);
    names.dedup_by_key(|name| name.0);
}
