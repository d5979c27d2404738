//! Loading: from a blob to a module that can be called. Each stage is a type that can only be made from the one before.

pub mod conflict;
mod initialize;
#[cfg(feature = "parameters")]
pub mod parameters;
pub mod permit;
pub mod publish;
pub mod state;

use bareflow_abi::record::{BINDINGS, CARRY, EVENTS, SIGNATURES};

use crate::depends::Candidate;
use crate::error::LoadError;
use crate::format::raw::RawModule;
use crate::format::records::first_record;
use crate::format::valid::{Capabilities, Validation};
use crate::load::publish::PendingModule;
use crate::manager::ModuleManager;
use crate::module::metadata::Metadata;
use crate::module::placed::PlacedModule;
use crate::module::{Module, ModuleId};
use crate::name::{Name, Version};
use crate::platform::Platform;
use crate::policy::{LoadOptions, LoadSettings};
use crate::provenance::Provenance;

/// The treatment of loaded modules of the same name.
#[derive(Clone, Copy)]
pub(crate) enum IfLoaded {
    /// Refuses the load if the name has an active module.
    RejectActive,
    /// Refuses the load if a module of the name has the same version.
    RejectSameVersion,
    /// Replaces the active module, and takes over its state.
    #[cfg(feature = "reload")]
    Replace,
}

impl<P: Platform> ModuleManager<P> {
    /// Loads `blob` into the kernel domain with the default options.
    ///
    /// # Errors
    /// As for [`load_with`](Self::load_with).
    pub fn load(&self, blob: &[u8]) -> Result<ModuleId, LoadError> {
        self.load_with(blob, &LoadOptions::DEFAULT)
    }

    /// Loads `blob`: validates it, places it, calls its `init` if it has one, and publishes it.
    ///
    /// # Errors
    /// The reason for which it is refused. Nothing of it stays behind.
    pub fn load_with<'load>(
        &self,
        blob: &[u8],
        settings: impl Into<LoadSettings<'load>>,
    ) -> Result<ModuleId, LoadError> {
        let pending = self.load_pending(blob, settings.into(), IfLoaded::RejectActive, None)?;
        Ok(pending.go_live(Some(true)))
    }

    /// Carries out all stages of a load but the last: the module is initialised in its slot, but can't be found yet.
    ///
    /// `provenance` is where the blob came from, if an engine made it.
    #[inline]
    pub(crate) fn load_pending(
        &self,
        blob: &[u8],
        settings: LoadSettings<'_>,
        if_loaded: IfLoaded,
        provenance: Option<&Provenance>,
    ) -> Result<PendingModule<'_, P>, LoadError> {
        let options = settings.options;
        let mut validation = Validation::new(RawModule::parse(blob)?);
        let valid = validation.check(Capabilities::of(&self.platform))?;
        options.permit(valid)?;
        let name_entry = self.registry.name_entry(&valid.name());
        let replaced = self.check_conflict(valid, name_entry, if_loaded)?;
        let placement = self.placement(valid, options, provenance)?;
        let reservation = self.registry.reserve(name_entry, &valid.name(), &self.platform.allocator())?;
        let is_plain = valid.raw().records.is_empty() & !settings.has_parameters() & provenance.is_none();
        let metadata = if is_plain && options.are_default() {
            Metadata::none()
        } else {
            let parts = [valid.schema(), valid.depends(), valid.symbols(), valid.traps(), valid.parameters()];
            self.metadata(blob, parts, settings, replaced, provenance)?
        };
        let placed = PlacedModule::place(valid, &placement, &self.platform)?;
        let module = Module::new(valid, options, reservation.identity(), placement, placed, metadata);
        let mut pending = PendingModule::new(self, reservation.fill(module), replaced);
        #[cfg(feature = "devices")]
        if !valid.devices().is_empty() {
            self.claim_devices(pending.id(), valid, options.allowed.trusts_devices(), replaced)?;
        }
        pending.initialize()?;
        Ok(pending)
    }

    /// Returns the metadata of the module in `blob`, of its schema, its dependencies, its symbols, its traps and its
    /// parameters, and checks its dependencies. It will replace the module `replaced`.
    // It takes no reference to the valid module, all of whose fields would be in memory then, and not in registers.
    #[inline(never)]
    fn metadata(
        &self,
        blob: &[u8],
        parts: [&[u8]; 5],
        settings: LoadSettings<'_>,
        replaced: Option<ModuleId>,
        provenance: Option<&Provenance>,
    ) -> Result<Metadata<P::Alloc>, LoadError> {
        let raw = RawModule::parse(blob)?;
        let records = if cfg!(feature = "interfaces") { raw.records } else { &[] };
        let mut interfaces = [BINDINGS, SIGNATURES, EVENTS].map(|kind| first_record(records, kind));
        if !settings.has_parameters()
            && settings.options.are_default()
            && parts.iter().fold(0, |lengths, part| lengths | part.len()) == 0
            && interfaces[0].is_empty()
            && provenance.is_none()
        {
            return Ok(Metadata::none());
        }
        let [schema, depends, symbols, traps, _parameters] = parts;
        #[cfg(feature = "parameters")]
        let assigned = match settings.has_parameters() || self.stateful.get() > 0 {
            true => Some(self.assign(blob, [_parameters, interfaces[0]], settings)?),
            false => None,
        };
        #[cfg(feature = "parameters")]
        let [values, lines, bindings] = assigned.as_ref().map_or([&[][..]; 3], parameters::Assigned::parts);
        #[cfg(not(feature = "parameters"))]
        let [values, lines, bindings] = [&[][..]; 3];
        if !bindings.is_empty() {
            interfaces[0] = bindings;
        }
        let carry = if provenance.is_some() { first_record(raw.records, CARRY) } else { &[] };
        let parts = [schema, depends, symbols, traps, carry, values, lines, blob];
        #[cfg(feature = "supervision")]
        if settings.options.on_fault.is_delayed() {
            if self.platform.microseconds().is_none() {
                return Err(LoadError::NoClock(settings.options.on_fault));
            }
            if !self.notices.reserve(self.platform.allocator()) {
                return Err(LoadError::NoMemory);
            }
        }
        let metadata = Metadata::new(settings.options, parts, interfaces, provenance, self.platform.allocator())?;
        if metadata.calls_others() {
            let (name, version) = (Name::valid(*raw.name()), Version::of(&raw.header()));
            let candidate = Candidate { name, version, depends: metadata.depends(), bindings: metadata.bindings() };
            self.check_dependencies(&candidate, replaced)?;
        }
        Ok(metadata)
    }
}
