//! The records of a module's variants.

use bareflow_abi::record::VARIANT;
use bareflow_abi::variant::{MAX_LEVEL, VariantHeader};

use crate::elf::Elf;
use crate::error::PackError;
use crate::{Settings, fixups, record, size, symbols};

/// A module compiled for a higher processor level.
#[derive(Clone, Copy, Debug)]
pub struct Variant<'elf> {
    /// The x86-64 level, above the module's own; at most 4.
    pub level: u8,
    /// The linked file.
    pub elf: &'elf [u8],
}

/// Encodes a record for each variant that differs from the code before it; the first is compared with `base`.
pub(crate) fn records(base: &Elf, settings: &Settings, variants: &[Variant<'_>]) -> Result<Vec<u8>, PackError> {
    let (mut records, mut below, mut behind) = (Vec::new(), base.clone(), settings.cpu_level);
    for &Variant { level, elf } in variants {
        if level <= behind || level > MAX_LEVEL {
            return Err(PackError::VariantLevel { found: level, behind });
        }
        behind = level;
        let wrong = |error| PackError::Variant { level, error: Box::new(error) };
        let elf = Elf::read(elf).map_err(wrong)?;
        // The header and the other records apply to all variants.
        if !elf.description.is_like(&base.description) {
            return Err(PackError::VariantDiffers { level });
        }
        if elf != below {
            records.extend(record(VARIANT, &encode(level, &elf).map_err(wrong)?));
            records.extend(symbols::record_of(&elf.symbols, &elf.text, settings.strip).into_iter().flatten());
            below = elf;
        }
    }
    Ok(records)
}

fn encode(level: u8, elf: &Elf) -> Result<Vec<u8>, PackError> {
    let (fixup_count, fixups) = fixups::encode(&elf.fixups)?;
    let header = VariantHeader {
        level,
        reserved: [0; 3],
        entry: elf.entry,
        text_size: size(elf.text.len())?,
        rodata_size: size(elf.rodata.len())?,
        data_size: size(elf.data.len())?,
        bss_size: elf.bss_size,
        alignment: elf.alignment,
        fixup_count,
        fixup_size: size(fixups.len())?,
    };
    Ok([&header.to_bytes()[..], &elf.text, &elf.rodata, &elf.data, &fixups].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::Description;
    use bareflow_abi::entry::Descriptor;

    fn elf() -> Elf {
        Elf {
            text: vec![0xc3],
            rodata: Vec::new(),
            data: Vec::new(),
            bss_size: 0,
            alignment: 1,
            entry: 0,
            fixups: Vec::new(),
            description: Description {
                descriptor: Descriptor::from_bytes(&[0; size_of::<Descriptor>()]),
                state_schema: None,
                parameters: None,
                bindings: Vec::new(),
                events: Vec::new(),
                signatures: Vec::new(),
                layout: None,
            },
            symbols: Vec::new(),
        }
    }

    fn settings(cpu_level: u8) -> Settings {
        Settings { cpu_level, ..crate::tests::settings() }
    }

    #[test]
    fn rejects_levels_that_do_not_rise() {
        for (found, behind) in [(1, 1), (0, 1), (5, 1), (2, 3)] {
            let refused = records(&elf(), &settings(behind), &[Variant { level: found, elf: b"" }]);
            assert_eq!(refused, Err(PackError::VariantLevel { found, behind }));
        }
    }

    #[test]
    fn rejects_what_is_no_elf_and_says_which_variant() {
        let error = records(&elf(), &settings(1), &[Variant { level: 3, elf: b"no elf" }]).unwrap_err();
        assert!(error.to_string().starts_with("its variant for x86-64-v3: "), "{error}");
    }

    #[test]
    fn writes_down_what_a_loader_reads() {
        let bytes = encode(3, &elf()).unwrap();
        assert_eq!((bytes.len(), bytes[0], bytes[36]), (37, 3, 0xc3));
    }
}
