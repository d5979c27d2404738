//! Second stage: a module that may be loaded here.

use bareflow_abi::ABI_MAJOR;
use bareflow_abi::checksum::Crc32c;
use bareflow_abi::depends::Dependencies;
use bareflow_abi::fingerprint::FINGERPRINTS;
use bareflow_abi::header::{FLAG_STATE, Header, checksum_by};
use bareflow_abi::record::{DEPENDENCIES, SKIPPABLE, STATE_SCHEMA, SYMBOLS, VARIANT};
use bareflow_abi::state::Schema;
use bareflow_abi::symbols::Symbols;
use bareflow_abi::variant::MAX_LEVEL;

use crate::code::Code;
use crate::error::{BadVariant, Differences, InvalidModule};
use crate::name::{Name, Version, is_name};
use crate::platform::Platform;
use crate::raw::RawModule;
use crate::records::{Record, Records};

/// What a machine offers to modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// `SERVICE_*` bits.
    pub services: u32,
    /// x86-64 level, 1 to 4.
    pub cpu_level: u8,
    /// How checksums are computed.
    pub checksum: Crc32c,
}

impl Capabilities {
    /// What `platform` offers.
    pub fn of(platform: &impl Platform) -> Capabilities {
        Capabilities {
            services: platform.offered_services(),
            cpu_level: platform.cpu_level(),
            checksum: platform.checksum(),
        }
    }
}

/// A module every check has passed.
#[derive(Clone, Copy, Debug)]
pub struct ValidModule<'blob> {
    raw: RawModule<'blob>,
    /// The code that is placed: the blob's own, or a variant.
    code: Code<'blob>,
    optional: OptionalRecords<'blob>,
}

/// The records that are of use once a module is placed.
#[derive(Clone, Copy, Debug, Default)]
struct OptionalRecords<'blob> {
    schema: Option<&'blob [u8]>,
    depends: Option<&'blob [u8]>,
    symbols: Option<&'blob [u8]>,
}

/// A validation: the module in it can be had when every check has passed, and is never moved or copied.
pub(crate) struct Validation<'blob> {
    module: ValidModule<'blob>,
}

impl<'blob> Validation<'blob> {
    /// Begins to validate `raw`.
    #[inline(always)]
    pub fn new(raw: RawModule<'blob>) -> Validation<'blob> {
        Validation { module: ValidModule { raw, code: raw.code, optional: OptionalRecords::default() } }
    }

    /// Makes the checks, as [`ValidModule::validate`] says.
    ///
    /// # Errors
    /// The first check that fails.
    #[inline(always)]
    pub fn check(&mut self, capabilities: Capabilities) -> Result<&ValidModule<'blob>, InvalidModule> {
        let raw = &self.module.raw;
        check_checksum(raw.blob(), raw.header().checksum, capabilities.checksum)?;
        check_abi(raw)?;
        if !is_name(raw.name()) {
            return Err(InvalidModule::Name { found: *raw.name() });
        }
        let header = raw.header();
        // 0.0.0 is what a header has that nobody filled in.
        if Version::of(&header) == (Version { major: 0, minor: 0, patch: 0 }) {
            return Err(InvalidModule::Version);
        }
        raw.code.check()?;
        self.module.take_records(capabilities.cpu_level)?;
        let missing = header.services & !capabilities.services;
        if missing != 0 {
            return Err(InvalidModule::Services { missing, offered: capabilities.services });
        }
        if !(1..=capabilities.cpu_level).contains(&header.cpu_level) {
            return Err(InvalidModule::CpuLevel { found: header.cpu_level, available: capabilities.cpu_level });
        }
        Ok(&self.module)
    }
}

impl<'blob> ValidModule<'blob> {
    /// Validates `raw`. The checks come in this order: checksum, ABI, name,
    /// version, entry, fix-ups, records, services, CPU level.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn validate(raw: RawModule<'blob>, capabilities: Capabilities) -> Result<ValidModule<'blob>, InvalidModule> {
        Validation::new(raw).check(capabilities).copied()
    }

    /// The module's parts.
    #[must_use]
    pub const fn raw(&self) -> &RawModule<'blob> {
        &self.raw
    }

    /// The module's name.
    #[must_use]
    #[inline]
    pub fn name(&self) -> Name {
        Name::valid(*self.raw.name())
    }

    /// The module's version.
    #[must_use]
    #[inline]
    pub fn version(&self) -> Version {
        Version::of(&self.raw.header())
    }

    /// The code that is placed: that of the highest level which the machine offers.
    #[must_use]
    pub const fn code(&self) -> &Code<'blob> {
        &self.code
    }

    /// The [`Schema`] of its state; empty where it has none, or no module is ever replaced.
    #[must_use]
    #[inline]
    pub fn schema(&self) -> &'blob [u8] {
        if cfg!(feature = "reload") { self.optional.schema.unwrap_or_default() } else { &[] }
    }

    /// The [`Dependencies`]; empty where it calls no others.
    #[must_use]
    #[inline]
    pub fn depends(&self) -> &'blob [u8] {
        if cfg!(feature = "depends") { self.optional.depends.unwrap_or_default() } else { &[] }
    }

    /// The [`Symbols`] of the code that is placed; empty where they are not known.
    #[must_use]
    #[inline]
    pub fn symbols(&self) -> &'blob [u8] {
        if cfg!(feature = "symbols") { self.optional.symbols.unwrap_or_default() } else { &[] }
    }

    /// Whether it has any of these.
    #[inline]
    pub(crate) fn has_optional_records(&self) -> bool {
        (cfg!(feature = "reload") && self.optional.schema.is_some())
            || self.calls_others()
            || (cfg!(feature = "symbols") && self.optional.symbols.is_some())
    }

    /// Whether it may call others.
    #[inline]
    pub(crate) fn calls_others(&self) -> bool {
        cfg!(feature = "depends") && self.optional.depends.is_some()
    }

    /// Checks all records, those of variants included, and takes those of use. The code becomes that of the highest
    /// variant up to `cpu_level`, if there is one.
    #[inline(always)]
    fn take_records(&mut self, cpu_level: u8) -> Result<(), InvalidModule> {
        let mut schemas = 0;
        if !self.raw.records.is_empty() {
            let header = self.raw.header();
            let (variant, optional, count) = take_each_record(self.raw.records, &header, cpu_level)?;
            (self.code, self.optional, schemas) = (variant.unwrap_or(self.code), optional, count);
        }
        // A state is only asked for where its fields are known.
        let expected = u32::from(self.raw.header().flags & FLAG_STATE != 0);
        if schemas == expected { Ok(()) } else { Err(InvalidModule::StateSchema) }
    }
}

/// Checks and takes each record; also returns the number of schemas.
#[inline(never)]
fn take_each_record<'blob>(
    records: &'blob [u8],
    header: &Header,
    cpu_level: u8,
) -> Result<(Option<Code<'blob>>, OptionalRecords<'blob>, u32), InvalidModule> {
    let (mut code, mut optional) = (None, OptionalRecords::default());
    let (mut schemas, mut lists) = (0, 0);
    let (mut highest, mut placed) = (header.cpu_level, header.cpu_level);
    // The text of the code that the next list of functions is of, as long as there was none.
    let mut nameless = Some(header.text_size);
    for record in Records::new(records) {
        let Record { kind, bytes } = record?;
        match kind {
            STATE_SCHEMA => {
                schemas += 1;
                let size = Schema::parse(bytes).ok_or(InvalidModule::StateSchema)?.size;
                // It lies in a static.
                let data = header.data_size.saturating_add(header.bss_size);
                if size > data {
                    return Err(InvalidModule::StateSize { found: size, data });
                }
                optional.schema = Some(bytes);
            }
            VARIANT if cfg!(feature = "variants") => {
                let variant = check_variant(bytes, highest)?;
                highest = variant.header.level;
                nameless = Some(variant.header.text_size);
                if highest <= cpu_level {
                    (code, placed, optional.symbols) = (Some(variant), highest, None);
                }
            }
            SYMBOLS if cfg!(feature = "symbols") => {
                let level = highest;
                let text_size = nameless.take().ok_or(InvalidModule::TwoSymbolLists { level })?;
                Symbols::check(bytes, text_size).map_err(|(number, why)| InvalidModule::Symbol {
                    level,
                    number,
                    why,
                })?;
                if level == placed && !bytes.is_empty() {
                    optional.symbols = Some(bytes);
                }
            }
            DEPENDENCIES if cfg!(feature = "depends") => {
                lists += 1;
                if lists > 1 {
                    return Err(InvalidModule::TwoDependencyLists);
                }
                Dependencies::check(bytes, header.name_bytes())
                    .map_err(|(number, why)| InvalidModule::Dependency { number, why })?;
                // An empty one is none.
                optional.depends = Some(bytes).filter(|list| !list.is_empty());
            }
            _ if kind & SKIPPABLE == 0 => return Err(InvalidModule::UnknownRecord { found: kind }),
            _ => {}
        }
    }
    Ok((code, optional, schemas))
}

/// Are these the bytes the packer wrote?
#[inline]
fn check_checksum(blob: &[u8], expected: u32, backend: Crc32c) -> Result<(), InvalidModule> {
    // A raw module is never shorter than a header.
    let found = checksum_by(backend, blob).unwrap_or(!expected);
    if found == expected { Ok(()) } else { Err(InvalidModule::Checksum { found, expected }) }
}

/// Will the code find `Context` and `Services` as it expects them?
#[inline]
fn check_abi(raw: &RawModule<'_>) -> Result<(), InvalidModule> {
    let header = raw.header();
    let minor = header.abi_minor;
    let differs = || match cfg!(feature = "differences") {
        true => Differences::find(minor, header.abi_fingerprint, raw.records),
        false => Differences::default(),
    };
    if header.abi_major != ABI_MAJOR {
        return Err(InvalidModule::AbiMajor { found: (header.abi_major, minor), differs: differs() });
    }
    // There is one fingerprint for each minor version this loader knows.
    let Some(&expected) = FINGERPRINTS.get(usize::from(minor)) else {
        return Err(InvalidModule::AbiMinor { found: minor, differs: differs() });
    };
    if header.abi_fingerprint != expected {
        let found = header.abi_fingerprint;
        return Err(InvalidModule::AbiFingerprint { found, expected, minor, differs: differs() });
    }
    Ok(())
}

/// Is this as good as the blob's own code, for a higher level than the one before?
fn check_variant(record: &[u8], behind: u8) -> Result<Code<'_>, InvalidModule> {
    let level = record.first().copied().unwrap_or_default();
    let refused = |why| InvalidModule::Variant { level, why };
    let code = Code::variant(record).map_err(refused)?;
    if level <= behind || level > MAX_LEVEL {
        return Err(refused(BadVariant::Level { behind }));
    }
    code.check().map_err(|why| refused(BadVariant::Code(why)))?;
    Ok(code)
}

#[cfg(test)]
#[path = "valid_tests.rs"]
mod tests;
