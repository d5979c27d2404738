//! The second stage: a module that may be loaded here.

use bareflow_abi::checksum::Crc32c;
#[cfg(doc)]
use bareflow_abi::depends::Dependencies;
use bareflow_abi::header::{FLAG_NO_RUN, FLAG_STATE};
use bareflow_abi::memory::MemoryRecord;
#[cfg(doc)]
use bareflow_abi::parameters::Parameters;
#[cfg(feature = "devices")]
use bareflow_abi::record::DEVICES;
use bareflow_abi::record::{BINDINGS, EVENTS, SIGNATURES};
#[cfg(doc)]
use bareflow_abi::state::Schema;
#[cfg(doc)]
use bareflow_abi::symbols::Symbols;

use crate::error::InvalidModule;
use crate::format::check_abi::{check_abi, check_checksum};
use crate::format::check_records::{OptionalRecords, check_records};
use crate::format::code::CodeVariant;
#[cfg(feature = "memory")]
use crate::format::memory::memory_of;
use crate::format::raw::RawModule;
use crate::format::records::first_record;
#[cfg(feature = "traps")]
use crate::format::traps::traps_of;
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

    /// Returns the [`Traps`](bareflow_abi::traps::Traps) of the code to place; empty if there are none, or if the feature
    /// `traps` is off.
    #[must_use]
    #[inline]
    pub fn traps(&self) -> &'blob [u8] {
        #[cfg(feature = "traps")]
        if self.optional.has_traps {
            return traps_of(self.raw.records, &self.raw.header(), self.code.header.level);
        }
        &[]
    }

    /// Returns the record of its linear memory; `None` if it has none, or if the feature `memory` is off.
    #[must_use]
    #[inline(always)]
    pub fn memory(&self) -> Option<MemoryRecord> {
        #[cfg(feature = "memory")]
        if self.optional.has_memory {
            return memory_of(self.raw.records);
        }
        None
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

    /// Returns the record of the devices that it drives; empty if there are none.
    #[cfg(feature = "devices")]
    #[must_use]
    #[inline(always)]
    pub fn devices(&self) -> &'blob [u8] {
        if self.optional.has_devices { first_record(self.raw.records, DEVICES) } else { &[] }
    }

    /// Returns whether its calls never take the fast path: it may call others, or has no `run`.
    #[inline(always)]
    pub(crate) fn is_slow_path_only(&self) -> bool {
        self.optional.is_slow_path_only
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
            let (variant, optional) = check_records(self.raw.records, &header, cpu_level)?;
            (self.code, self.optional) = (variant.unwrap_or(self.code), optional);
        } else if self.raw.header().flags & (FLAG_STATE | FLAG_NO_RUN) != 0 {
            let has_state = self.raw.header().flags & FLAG_STATE != 0;
            return Err(if has_state { InvalidModule::StateSchema } else { InvalidModule::NothingToCall });
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "valid_tests.rs"]
mod tests;
