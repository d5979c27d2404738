//! The transfer of state from a module to the one that replaces it.

use core::cell::Ref;
use core::fmt;

use allocator_api2::vec::Vec;
use bareflow_abi::Reason;
use bareflow_abi::header::FLAG_MIGRATE;
use bareflow_abi::record::STATE_SCHEMA;
use bareflow_abi::state::{Schema, StateHeader};

use crate::error::LoadError;
use crate::format::raw::RawModule;
use crate::format::records::Records;
use crate::manager::ModuleManager;
use crate::module::lifecycle::ModuleState;
use crate::module::{Module, ModuleId};
use crate::platform::{CallFailure, CallOutcome, Platform};
use crate::printable::Printable;

/// The result of a state transfer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateTransfer {
    /// The old module had no state.
    #[default]
    Nothing,
    /// The state was taken over unchanged.
    Kept,
    /// The new module's `migrate` converted the state.
    Migrated,
    /// The instance of WebAssembly was carried over as it was.
    Carried,
    /// The state was lost because the old module had faulted.
    Lost,
}

impl StateTransfer {
    /// Returns the word in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            StateTransfer::Nothing => "none",
            StateTransfer::Kept => "kept",
            StateTransfer::Migrated => "migrated",
            StateTransfer::Carried => "carried",
            StateTransfer::Lost => "lost",
        }
    }
}

/// Returns the schema of a module's state, if it has one.
#[must_use]
pub fn schema_of<'blob>(raw: &RawModule<'blob>) -> Option<Schema<'blob>> {
    let mut records = Records::new(raw.records).flatten();
    records.find(|record| record.kind == STATE_SCHEMA).and_then(|record| Schema::parse(record.bytes))
}

/// Two state layouts, shown field by field when a module can't take over the other's state.
#[derive(Clone, Copy, Debug)]
pub struct Layouts<'blob> {
    /// The old layout.
    pub old: Option<Schema<'blob>>,
    /// The new layout.
    pub new: Option<Schema<'blob>>,
}

impl fmt::Display for Layouts<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (title, one, other) in [("old", self.old, self.new), ("new", self.new, self.old)] {
            write!(out, "\n  {title} state:")?;
            let Some(schema) = one else {
                write!(out, " none")?;
                continue;
            };
            write!(out, " {} bytes", schema.size)?;
            let mut offset = 0;
            for field in schema.fields() {
                let same = other.and_then(|other| other.fields().find(|other| other.name == field.name));
                let mark = match same {
                    None => "  <- only here",
                    Some(other) if other.fingerprint != field.fingerprint => "  <- another type",
                    Some(_) => "",
                };
                // The blob's own words, which may contain any bytes.
                let [name, kind] = [field.name, field.kind].map(|text| Printable(text.as_bytes()));
                write!(out, "\n    {offset:>6} {name}: {kind} ({} bytes){mark}", field.size)?;
                offset += field.size;
            }
        }
        Ok(())
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Transfers the state of the module `from` to `new`, which is not initialised yet.
    #[inline(always)]
    pub(crate) fn transfer_state(&self, from: ModuleId, new: &Module<P>) -> Result<StateTransfer, LoadError> {
        if self.stateful.get() == 0 {
            return Ok(StateTransfer::Nothing);
        }
        let old = self.registry.get(from).ok_or(LoadError::StateBusy)?;
        // Where there is metadata, this was checked when it was made.
        #[cfg(feature = "parameters")]
        if !new.metadata.is_some() {
            self.check_dropped(&old, new)?;
        }
        if old.metadata.schema().is_empty() {
            Ok(StateTransfer::Nothing)
        } else {
            self.transfer_state_of(from, old, new)
        }
    }

    #[inline(never)]
    fn transfer_state_of(
        &self,
        from: ModuleId,
        old: Ref<'_, Module<P>>,
        new: &Module<P>,
    ) -> Result<StateTransfer, LoadError> {
        let Some(old_schema) = Schema::parse(old.metadata.schema()) else { return Ok(StateTransfer::Nothing) };
        let versions = [old.version, new.version];
        let new_schema = Schema::parse(new.metadata.schema()).ok_or(LoadError::StateDropped { versions })?;
        let is_same = old_schema.fingerprint == new_schema.fingerprint;
        if !is_same && new.flags & FLAG_MIGRATE == 0 {
            return Err(LoadError::StateChanged { versions });
        }
        match old.lifecycle.state() {
            ModuleState::Running => return Err(LoadError::StateBusy),
            ModuleState::Stopped => return Ok(StateTransfer::Lost),
            ModuleState::Live | ModuleState::Loading => {}
        }
        let size = old_schema.size as usize;
        let bytes = self.save_state(from, old, size)?;
        match self.call_unprofiled(new, &new.placed, Reason::Migrate, &bytes, &mut []) {
            Ok(outcome) if outcome.result == 0 => {
                Ok(if is_same { StateTransfer::Kept } else { StateTransfer::Migrated })
            }
            Ok(outcome) => Err(LoadError::MigrateFailed { result: outcome.result }),
            Err(CallFailure::Fault(fault)) => Err(LoadError::MigrateFaulted(fault)),
            Err(CallFailure::NoMemory) => Err(LoadError::NoMemoryForState),
        }
    }

    /// Saves a module's state of `size` bytes in the form that another version takes over.
    fn save_state(&self, from: ModuleId, old: Ref<'_, Module<P>>, size: usize) -> Result<Vec<u8, P::Alloc>, LoadError> {
        let start = StateHeader::SIZE + old.metadata.schema().len();
        let mut bytes = Vec::new_in(self.platform.allocator());
        bytes.try_reserve_exact(start + size).map_err(|_| LoadError::NoMemoryForState)?;
        let version = [old.version.major, old.version.minor, old.version.patch];
        bytes.extend_from_slice(&StateHeader { version, schema_length: old.metadata.schema().len() as u32 }.to_bytes());
        bytes.extend_from_slice(old.metadata.schema());
        bytes.resize(start + size, 0);
        drop(old);
        let room = bytes.get_mut(start..).unwrap_or_default();
        if self.hand_over(from, Reason::Save, room)? == size {
            Ok(bytes)
        } else {
            Err(LoadError::SaveFailed { result: 0 })
        }
    }

    /// Calls the module `from`, which is not running, for `reason`: it hands over what another one goes on with, also by its
    /// output, `room`. Returns the bytes written there.
    ///
    /// # Errors
    /// It did not, or memory for the call ran out. A fault is one as in any call of it.
    pub(crate) fn hand_over(&self, from: ModuleId, reason: Reason, room: &mut [u8]) -> Result<usize, LoadError> {
        let old = self.registry.get(from).ok_or(LoadError::StateBusy)?;
        old.lifecycle.set(ModuleState::Running);
        let called = self.call_unprofiled(&old, &old.placed, reason, &[], room);
        old.lifecycle.set(ModuleState::Live);
        match called {
            Ok(CallOutcome { result: 0, output_length }) => Ok(output_length),
            Ok(CallOutcome { result, .. }) => Err(LoadError::SaveFailed { result }),
            Err(CallFailure::Fault(fault)) => {
                old.faults.note(&old.faults.count, fault, self.platform.diagnosis(), self.platform.allocator());
                drop(old);
                self.fail(from);
                Err(LoadError::SaveFaulted(fault))
            }
            Err(CallFailure::NoMemory) => Err(LoadError::NoMemoryForState),
        }
    }
}
