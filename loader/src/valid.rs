//! Second stage: a module that may be loaded here.

use bareflow_abi::ABI_MAJOR;
use bareflow_abi::depends::Dependencies;
use bareflow_abi::fingerprint::FINGERPRINTS;
use bareflow_abi::header::{FLAG_STATE, Header, checksum_of};
use bareflow_abi::layout::{DATA_OFFSET, RODATA_OFFSET, TEXT_OFFSET};
use bareflow_abi::record::{DEPENDENCIES, SKIPPABLE, STATE_SCHEMA};
use bareflow_abi::state::Schema;

use crate::error::InvalidModule;
use crate::fixups::{Fixups, SLOT_SIZE_BYTES};
use crate::name::{Name, Version};
use crate::platform::{ImageSize, Platform};
use crate::raw::RawModule;
use crate::records::{Record, Records};

/// What a machine offers to modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// `SERVICE_*` bits.
    pub services: u32,
    /// x86-64 level, 1 to 4.
    pub cpu_level: u8,
}

impl Offer {
    /// What `platform` offers.
    pub fn of(platform: &impl Platform) -> Offer {
        Offer { services: platform.offered_services(), cpu_level: platform.cpu_level() }
    }
}

/// A module every check has passed.
#[derive(Clone, Copy, Debug)]
pub struct ValidModule<'blob> {
    raw: RawModule<'blob>,
    name: Name,
}

impl<'blob> ValidModule<'blob> {
    /// Validates `raw`. The checks come in this order: checksum, ABI, name,
    /// version, entry, fix-ups, records, services, CPU level.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn validate(raw: RawModule<'blob>, offer: Offer) -> Result<ValidModule<'blob>, InvalidModule> {
        let header = &raw.header;
        check_checksum(&raw)?;
        check_abi(header)?;
        let name = Name::from_field(header.name).ok_or(InvalidModule::Name { found: header.name })?;
        // 0.0.0 is what a header has that nobody filled in.
        if Version::of(header) == (Version { major: 0, minor: 0, patch: 0 }) {
            return Err(InvalidModule::Version);
        }
        // Without this a module could start another one's code.
        if header.entry >= header.text_size {
            return Err(InvalidModule::Entry { found: header.entry, text_size: header.text_size });
        }
        check_fixups(&raw)?;
        check_records(&raw)?;
        let missing = header.services & !offer.services;
        if missing != 0 {
            return Err(InvalidModule::Services { missing, offered: offer.services });
        }
        if !(1..=offer.cpu_level).contains(&header.cpu_level) {
            return Err(InvalidModule::CpuLevel { found: header.cpu_level, available: offer.cpu_level });
        }
        Ok(ValidModule { raw, name })
    }

    /// The module's parts.
    #[must_use]
    pub const fn raw(&self) -> &RawModule<'blob> {
        &self.raw
    }

    /// The module's name.
    #[must_use]
    pub const fn name(&self) -> Name {
        self.name
    }

    /// The module's version.
    #[must_use]
    pub const fn version(&self) -> Version {
        Version::of(&self.raw.header)
    }

    /// The memory its image needs.
    #[must_use]
    pub fn image_size(&self) -> ImageSize {
        let header = &self.raw.header;
        ImageSize {
            text: self.raw.text.len(),
            rodata: self.raw.rodata.len(),
            // At most 256 MiB, as the first stage checked.
            data: self.raw.data.len() + header.bss_size as usize,
            alignment: header.alignment as usize,
        }
    }

    /// The fix-ups: which slots they are, and in which segment.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> {
        let raw = self.raw;
        Fixups::new(raw.fixups).filter_map(move |offset| Slot::at(offset.ok()?, &raw))
    }
}

/// A slot that lies wholly in one segment.
pub(crate) enum Slot {
    /// At this distance from the start of rodata.
    Rodata(usize),
    /// At this distance from the start of data.
    Data(usize),
}

impl Slot {
    /// The slot at `offset` from the image's base, or `None` when it lies
    /// anywhere but in the bytes the file has for rodata and data.
    fn at(offset: u64, raw: &RawModule<'_>) -> Option<Slot> {
        let within = |start: u64, segment: &[u8]| {
            let place = offset.checked_sub(start)?;
            let end = place.checked_add(SLOT_SIZE_BYTES)?;
            (end <= segment.len() as u64).then(|| usize::try_from(place).ok())?
        };
        within(RODATA_OFFSET, raw.rodata).map(Slot::Rodata).or_else(|| within(DATA_OFFSET, raw.data).map(Slot::Data))
    }

    /// What the slot holds in the file: its target's distance from the image's base.
    fn target(&self, raw: &RawModule<'_>) -> Option<u64> {
        let bytes = match *self {
            Slot::Rodata(place) => raw.rodata.get(place..)?,
            Slot::Data(place) => raw.data.get(place..)?,
        };
        bytes.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

/// Are these the bytes the packer wrote?
fn check_checksum(raw: &RawModule<'_>) -> Result<(), InvalidModule> {
    let expected = raw.header.checksum;
    // A raw module is never shorter than a header.
    let found = checksum_of(raw.blob()).unwrap_or(!expected);
    if found == expected { Ok(()) } else { Err(InvalidModule::Checksum { found, expected }) }
}

/// Will the code find `Context` and `Services` as it expects them?
fn check_abi(header: &Header) -> Result<(), InvalidModule> {
    if header.abi_major != ABI_MAJOR {
        return Err(InvalidModule::AbiMajor { found: header.abi_major });
    }
    // There is one fingerprint for each minor version this loader knows.
    let Some(&expected) = FINGERPRINTS.get(usize::from(header.abi_minor)) else {
        return Err(InvalidModule::AbiMinor { found: header.abi_minor });
    };
    if header.abi_fingerprint != expected {
        return Err(InvalidModule::AbiFingerprint { found: header.abi_fingerprint, expected });
    }
    Ok(())
}

/// Does every fix-up change bytes of this image only, and point into it?
fn check_fixups(raw: &RawModule<'_>) -> Result<(), InvalidModule> {
    let mut count: u32 = 0;
    for offset in Fixups::new(raw.fixups) {
        let offset = offset?;
        let slot = Slot::at(offset, raw).ok_or(InvalidModule::FixupSlot { found: offset })?;
        let target = slot.target(raw).ok_or(InvalidModule::FixupSlot { found: offset })?;
        if !points_into(target, &raw.header) {
            return Err(InvalidModule::FixupTarget { slot: offset, found: target });
        }
        count = count.saturating_add(1);
    }
    if count != raw.header.fixup_count {
        return Err(InvalidModule::FixupCount { found: count, expected: raw.header.fixup_count });
    }
    Ok(())
}

/// Whether `target`, a distance from the base, is in a segment or right behind
/// it (where the end of a table points).
fn points_into(target: u64, header: &Header) -> bool {
    let data_size = u64::from(header.data_size) + u64::from(header.bss_size);
    let segments = [
        (TEXT_OFFSET, u64::from(header.text_size)),
        (RODATA_OFFSET, u64::from(header.rodata_size)),
        (DATA_OFFSET, data_size),
    ];
    segments.iter().any(|&(start, size)| (start..=start + size).contains(&target))
}

/// Are all records whole, and known or to be skipped?
fn check_records(raw: &RawModule<'_>) -> Result<(), InvalidModule> {
    let (mut schemas, mut lists) = (0, 0);
    for record in Records::new(raw.records) {
        let Record { kind, bytes } = record?;
        if kind == STATE_SCHEMA {
            schemas += 1;
            Schema::parse(bytes).ok_or(InvalidModule::StateSchema)?;
        }
        if kind == DEPENDENCIES {
            lists += 1;
            if lists > 1 {
                return Err(InvalidModule::TwoDependencyLists);
            }
            Dependencies::check(bytes, raw.header.name_bytes())
                .map_err(|(number, why)| InvalidModule::Dependency { number, why })?;
        } else if kind & SKIPPABLE == 0 {
            return Err(InvalidModule::UnknownRecord { found: kind });
        }
    }
    // A state is only asked for where its fields are known.
    let expected = u32::from(raw.header.flags & FLAG_STATE != 0);
    if schemas == expected { Ok(()) } else { Err(InvalidModule::StateSchema) }
}

#[cfg(test)]
#[path = "valid_tests.rs"]
mod tests;
