//! The second stage: a module that may be loaded here.

use bareflow_abi::ABI_MAJOR;
use bareflow_abi::checksum::Crc32c;
use bareflow_abi::depends::Dependencies;
use bareflow_abi::events::Events;
use bareflow_abi::fingerprint::FINGERPRINTS;
use bareflow_abi::header::{FLAG_NO_RUN, FLAG_STATE, Header, checksum_by};
use bareflow_abi::interface::bindings::Entries;
use bareflow_abi::parameters::Parameters;
use bareflow_abi::record::{
    BINDINGS, DEPENDENCIES, EVENTS, LAYOUT, PARAMETERS, SIGNATURES, SKIPPABLE, STATE_SCHEMA, SYMBOLS, VARIANT,
};
use bareflow_abi::state::Schema;
use bareflow_abi::symbols::Symbols;
use bareflow_abi::variant::MAX_LEVEL;

use crate::error::{BadVariant, Differences, InvalidModule};
use crate::format::code::CodeVariant;
use crate::format::raw::RawModule;
use crate::format::records::{Record, Records, bindings, first_record};
use crate::name::{Name, Version, is_name};

/// The capabilities that a machine offers to modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The services, as `SERVICE_*` bits.
    pub services: u32,
    /// The x86-64 level, 1 to 4.
    pub cpu_level: u8,
    /// The implementation of checksums.
    pub checksum: Crc32c,
}

/// A module that has passed all checks.
#[derive(Clone, Copy, Debug)]
pub struct ValidModule<'blob> {
    raw: RawModule<'blob>,
    /// The code that is placed: the blob's own, or a variant.
    code: CodeVariant<'blob>,
    optional: OptionalRecords<'blob>,
}

/// The records that are needed once a module is placed.
#[derive(Clone, Copy, Debug, Default)]
struct OptionalRecords<'blob> {
    schema: Option<&'blob [u8]>,
    depends: Option<&'blob [u8]>,
    symbols: Option<&'blob [u8]>,
    parameters: Option<&'blob [u8]>,
    /// Whether there are bindings, which are looked up again when they are needed: few modules have any.
    has_bindings: bool,
    /// Whether calls never take the fast path: the module may call others, or has no `run`.
    leaves_the_fast_path: bool,
}

/// A validation in progress. The module in it is accessible once all checks have passed, and is never moved or copied.
pub(crate) struct Validation<'blob> {
    module: ValidModule<'blob>,
}

impl<'blob> Validation<'blob> {
    /// Starts the validation of `raw`.
    #[inline(always)]
    pub fn new(raw: RawModule<'blob>) -> Validation<'blob> {
        Validation { module: ValidModule { raw, code: raw.code, optional: OptionalRecords::default() } }
    }

    /// Performs the checks of [`ValidModule::validate`], in that order.
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
        // A header whose version was never filled in has 0.0.0.
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
    /// Validates `raw`.
    ///
    /// The checks come in this order: checksum, ABI, name, version, entry, fix-ups, records, services, CPU level.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn validate(raw: RawModule<'blob>, capabilities: Capabilities) -> Result<ValidModule<'blob>, InvalidModule> {
        Validation::new(raw).check(capabilities).copied()
    }

    /// Returns the module's parts.
    #[must_use]
    pub const fn raw(&self) -> &RawModule<'blob> {
        &self.raw
    }

    /// Returns the module's name.
    #[must_use]
    #[inline]
    pub fn name(&self) -> Name {
        Name::valid(*self.raw.name())
    }

    /// Returns the module's version.
    #[must_use]
    #[inline]
    pub fn version(&self) -> Version {
        Version::of(&self.raw.header())
    }

    /// Returns the code to place: that of the highest level that the machine supports.
    #[must_use]
    pub const fn code(&self) -> &CodeVariant<'blob> {
        &self.code
    }

    /// Returns the [`Schema`] of its state; empty if it has none, or if the feature `reload` is off.
    #[must_use]
    #[inline]
    pub fn schema(&self) -> &'blob [u8] {
        if cfg!(feature = "reload") { self.optional.schema.unwrap_or_default() } else { &[] }
    }

    /// Returns its [`Dependencies`]; empty if it calls no other modules.
    #[must_use]
    #[inline]
    pub fn depends(&self) -> &'blob [u8] {
        if cfg!(feature = "depends") { self.optional.depends.unwrap_or_default() } else { &[] }
    }

    /// Returns the [`Symbols`] of the code to place; empty if they are not known.
    #[must_use]
    #[inline]
    pub fn symbols(&self) -> &'blob [u8] {
        if cfg!(feature = "symbols") { self.optional.symbols.unwrap_or_default() } else { &[] }
    }

    /// Returns the list of its [`Parameters`]; empty if it has none, or if the feature `parameters` is off.
    #[must_use]
    #[inline]
    pub fn parameters(&self) -> &'blob [u8] {
        if cfg!(feature = "parameters") { self.optional.parameters.unwrap_or_default() } else { &[] }
    }

    /// Returns the record of its imports and exports; empty if there are none.
    #[must_use]
    #[inline(always)]
    pub fn bindings(&self) -> &'blob [u8] {
        self.interface_record(BINDINGS)
    }

    /// Returns the signatures of its methods, which may be any bytes; empty if they are not known.
    #[must_use]
    #[inline(always)]
    pub fn signatures(&self) -> &'blob [u8] {
        self.interface_record(SIGNATURES)
    }

    #[inline(always)]
    fn interface_record(&self, kind: u32) -> &'blob [u8] {
        if self.has_bindings() { first_record(self.raw.records, kind) } else { &[] }
    }

    /// Returns whether it declares events.
    #[must_use]
    pub fn has_events(&self) -> bool {
        !self.interface_record(EVENTS).is_empty()
    }

    /// Returns whether its calls never take the fast path: it may call others, or has no `run`.
    #[inline(always)]
    pub(crate) fn leaves_the_fast_path(&self) -> bool {
        self.optional.leaves_the_fast_path
    }

    /// Returns whether it has imports or exports.
    #[inline(always)]
    pub(crate) fn has_bindings(&self) -> bool {
        cfg!(feature = "interfaces") && self.optional.has_bindings
    }

    /// Checks all records, including those of variants, and stores those that are needed.
    ///
    /// If there are variants up to `cpu_level`, the code to place becomes that of the highest one.
    #[inline(always)]
    fn take_records(&mut self, cpu_level: u8) -> Result<(), InvalidModule> {
        if !self.raw.records.is_empty() {
            let header = self.raw.header();
            let (variant, optional) = take_each_record(self.raw.records, &header, cpu_level)?;
            (self.code, self.optional) = (variant.unwrap_or(self.code), optional);
        } else if self.raw.header().flags & (FLAG_STATE | FLAG_NO_RUN) != 0 {
            let has_state = self.raw.header().flags & FLAG_STATE != 0;
            return Err(if has_state { InvalidModule::StateSchema } else { InvalidModule::NothingToCall });
        }
        Ok(())
    }
}

/// Checks all records, and that those are there which the flags announce. Returns the code of the highest usable variant,
/// and the optional records.
#[inline(never)]
fn take_each_record<'blob>(
    records: &'blob [u8],
    header: &Header,
    cpu_level: u8,
) -> Result<(Option<CodeVariant<'blob>>, OptionalRecords<'blob>), InvalidModule> {
    let (mut code, mut optional) = (None, OptionalRecords::default());
    let (mut schemas, mut lists) = (0, 0);
    let (mut highest, mut placed) = (header.cpu_level, header.cpu_level);
    // The text size of the code that the next symbol list belongs to; `None` once it has a list.
    let mut nameless = Some(header.text_size);
    for record in Records::new(records) {
        let Record { kind, bytes } = record?;
        match kind {
            STATE_SCHEMA => {
                schemas += 1;
                let size = Schema::parse(bytes).ok_or(InvalidModule::StateSchema)?.size;
                // The state is kept in a static, so it fits into data and bss.
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
                // An empty list counts as none.
                optional.depends = Some(bytes).filter(|list| !list.is_empty());
            }
            PARAMETERS if cfg!(feature = "parameters") => {
                if optional.parameters.is_some() {
                    return Err(InvalidModule::TwoParameterLists);
                }
                Parameters::check(bytes).map_err(|(number, why)| InvalidModule::Parameter { number, why })?;
                optional.parameters = Some(bytes);
            }
            BINDINGS if cfg!(feature = "interfaces") => {
                check_bindings(bytes, &mut optional)?;
            }
            EVENTS if cfg!(feature = "events") => check_events(bytes, records)?,
            _ if kind & SKIPPABLE == 0 => return Err(InvalidModule::UnknownRecord { found: kind }),
            _ => {}
        }
    }
    // A state is transferred only if its schema is known.
    if schemas != u32::from(header.flags & FLAG_STATE != 0) {
        return Err(InvalidModule::StateSchema);
    }
    let has_run = header.flags & FLAG_NO_RUN == 0;
    let exports = || bindings(records).function_count();
    let can_be_called = has_run || optional.has_bindings && exports() > 0;
    if !can_be_called {
        return Err(InvalidModule::NothingToCall);
    }
    optional.leaves_the_fast_path = (cfg!(feature = "depends") && optional.depends.is_some())
        || (optional.has_bindings && (!has_run || has_imports(records)));
    Ok((code, optional))
}

/// Checks the record of imports and exports, and that it is the first one.
#[cold]
#[inline(never)]
fn check_bindings(bytes: &[u8], optional: &mut OptionalRecords<'_>) -> Result<(), InvalidModule> {
    if core::mem::replace(&mut optional.has_bindings, true) {
        return Err(InvalidModule::TwoBindings);
    }
    Entries::check(bytes).map_err(|(number, why)| InvalidModule::Binding { number, why })
}

/// Checks the record of events, and that it is the only one.
#[cold]
#[inline(never)]
fn check_events(bytes: &[u8], records: &[u8]) -> Result<(), InvalidModule> {
    if Records::new(records).flatten().filter(|record| record.kind == EVENTS).count() > 1 {
        return Err(InvalidModule::TwoEvents);
    }
    Events::check(bytes, bindings(records).plain_functions())
        .map_err(|(number, why)| InvalidModule::Event { number, why })
}

/// Returns whether a module with these records has imports.
#[cold]
#[inline(never)]
fn has_imports(records: &[u8]) -> bool {
    bindings(records).imports().next().is_some()
}

/// Checks that the bytes are those that the packer wrote.
#[inline]
fn check_checksum(blob: &[u8], expected: u32, backend: Crc32c) -> Result<(), InvalidModule> {
    // A raw module is never shorter than a header.
    let found = checksum_by(backend, blob).unwrap_or(!expected);
    if found == expected { Ok(()) } else { Err(InvalidModule::Checksum { found, expected }) }
}

/// Checks that the code will find `Context` and `Services` in the layout that it expects.
#[inline]
fn check_abi(raw: &RawModule<'_>) -> Result<(), InvalidModule> {
    let header = raw.header();
    let minor = header.abi_minor;
    let differs = || match cfg!(feature = "differences") {
        true => Differences::find(minor, header.abi_fingerprint, first_record(raw.records, LAYOUT)),
        false => Differences::default(),
    };
    if header.abi_major != ABI_MAJOR {
        return Err(InvalidModule::AbiMajor { found: (header.abi_major, minor), differs: differs() });
    }
    // There is one fingerprint for each minor version that this loader knows.
    let Some(&expected) = FINGERPRINTS.get(usize::from(minor)) else {
        return Err(InvalidModule::AbiMinor { found: minor, differs: differs() });
    };
    if header.abi_fingerprint != expected {
        let found = header.abi_fingerprint;
        return Err(InvalidModule::AbiFingerprint { found, expected, minor, differs: differs() });
    }
    Ok(())
}

/// Checks a variant like the blob's own code, and that its level is above that of the code before it.
fn check_variant(record: &[u8], behind: u8) -> Result<CodeVariant<'_>, InvalidModule> {
    let level = record.first().copied().unwrap_or_default();
    let refused = |why| InvalidModule::Variant { level, why };
    let code = CodeVariant::variant(record).map_err(refused)?;
    if level <= behind || level > MAX_LEVEL {
        return Err(refused(BadVariant::Level { behind }));
    }
    code.check().map_err(|why| refused(BadVariant::Code(why)))?;
    Ok(code)
}

#[cfg(test)]
#[path = "valid_tests.rs"]
mod tests;
