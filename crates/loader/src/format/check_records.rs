//! The checks of a blob's records, all of which come before any is used.

#[cfg(feature = "portable")]
use bareflow_abi::carry::Carry;
use bareflow_abi::depends::Dependencies;
use bareflow_abi::devices::Devices;
use bareflow_abi::events::Events;
use bareflow_abi::header::{FLAG_NO_RUN, FLAG_STATE, Header};
use bareflow_abi::interface::bindings::Entries;
use bareflow_abi::parameters::Parameters;
#[cfg(feature = "portable")]
use bareflow_abi::record::CARRY;
#[cfg(feature = "memory")]
use bareflow_abi::record::MEMORY;
#[cfg(feature = "traps")]
use bareflow_abi::record::TRAPS;
use bareflow_abi::record::{
    BINDINGS, DEPENDENCIES, DEVICES, EVENTS, PARAMETERS, SKIPPABLE, STATE_SCHEMA, SYMBOLS, VARIANT,
};
use bareflow_abi::state::Schema;
use bareflow_abi::symbols::Symbols;
use bareflow_abi::variant::MAX_LEVEL;

use crate::error::{BadVariant, InvalidModule};
use crate::format::code::CodeVariant;
#[cfg(feature = "memory")]
use crate::format::memory::check_memory;
use crate::format::records::{Record, Records, bindings, first_record};
#[cfg(feature = "traps")]
use crate::format::traps::check_traps;

/// The records that are needed once a module is placed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OptionalRecords<'blob> {
    pub schema: Option<&'blob [u8]>,
    pub depends: Option<&'blob [u8]>,
    pub symbols: Option<&'blob [u8]>,
    pub parameters: Option<&'blob [u8]>,
    /// Whether there are bindings, which are looked up again when they are needed: few modules have any.
    pub has_bindings: bool,
    /// Whether there are trap sites of some code, which are looked up again as well.
    #[cfg(feature = "traps")]
    pub has_traps: bool,
    /// Whether there is a linear memory, whose record is looked up again as well.
    #[cfg(feature = "memory")]
    pub has_memory: bool,
    /// Whether it drives devices, whose record is looked up again as well.
    #[cfg(feature = "devices")]
    pub has_devices: bool,
    /// Whether calls never take the fast path: the module may call others, or has no `run`.
    pub is_slow_path_only: bool,
}

/// Checks all records, and that those are there which the flags announce. Returns the code of the highest usable variant,
/// and the optional records.
#[inline(never)]
pub(super) fn check_records<'blob>(
    records: &'blob [u8],
    header: &Header,
    cpu_level: u8,
) -> Result<(Option<CodeVariant<'blob>>, OptionalRecords<'blob>), InvalidModule> {
    let (mut code, mut optional) = (None, OptionalRecords::default());
    let mut seen = 0;
    let (mut highest, mut placed) = (header.cpu_level, header.cpu_level);
    // The text size of the code that the next symbol list belongs to; `None` once it has a list.
    let mut nameless = Some(header.text_size);
    for record in Records::new(records) {
        let Record { kind, bytes } = record?;
        match kind {
            STATE_SCHEMA => {
                if !first(&mut seen, kind) {
                    return Err(InvalidModule::StateSchema);
                }
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
            #[cfg(feature = "traps")]
            TRAPS => {
                check_traps(records, header, highest)?;
                optional.has_traps = true;
            }
            #[cfg(feature = "portable")]
            CARRY => {
                if !first(&mut seen, kind) {
                    return Err(InvalidModule::TwoCarries);
                }
                let data = u64::from(header.data_size) + u64::from(header.bss_size);
                Carry::parse(bytes, data).map_err(|why| InvalidModule::Carry { why })?;
            }
            DEPENDENCIES if cfg!(feature = "depends") => {
                if !first(&mut seen, kind) {
                    return Err(InvalidModule::TwoDependencyLists);
                }
                Dependencies::check(bytes, header.name_bytes())
                    .map_err(|(number, why)| InvalidModule::Dependency { number, why })?;
                // An empty list counts as none.
                optional.depends = Some(bytes).filter(|list| !list.is_empty());
            }
            PARAMETERS if cfg!(feature = "parameters") => {
                if !first(&mut seen, kind) {
                    return Err(InvalidModule::TwoParameterLists);
                }
                Parameters::check(bytes).map_err(|(number, why)| InvalidModule::Parameter { number, why })?;
                optional.parameters = Some(bytes);
            }
            BINDINGS if cfg!(feature = "interfaces") => {
                check_bindings(bytes, first(&mut seen, kind))?;
                optional.has_bindings = true;
            }
            #[cfg(feature = "memory")]
            MEMORY => {
                check_memory(bytes, first(&mut seen, kind), records, header)?;
                optional.has_memory = true;
            }
            EVENTS if cfg!(feature = "events") => check_events(bytes, first(&mut seen, kind), records)?,
            #[cfg(feature = "devices")]
            DEVICES => {
                check_devices(bytes, first(&mut seen, kind))?;
                optional.has_devices = true;
            }
            _ if kind & SKIPPABLE == 0 => return Err(InvalidModule::UnknownRecord { found: kind }),
            _ => {}
        }
    }
    if cfg!(feature = "events") && seen & bit(EVENTS) != 0 {
        check_interrupts(records)?;
    }
    // A state is transferred only if its schema is known.
    if optional.schema.is_some() != (header.flags & FLAG_STATE != 0) {
        return Err(InvalidModule::StateSchema);
    }
    let has_run = header.flags & FLAG_NO_RUN == 0;
    let exports = || bindings(records).function_count();
    let can_be_called = has_run || optional.has_bindings && exports() > 0;
    if !can_be_called {
        return Err(InvalidModule::NothingToCall);
    }
    optional.is_slow_path_only = (cfg!(feature = "depends") && optional.depends.is_some())
        || (optional.has_bindings && (!has_run || has_imports(records)));
    Ok((code, optional))
}

/// Returns whether a record is the first of its kind, given the set of kinds `seen` before, to which the kind is added.
fn first(seen: &mut u32, kind: u32) -> bool {
    let before = *seen;
    *seen |= bit(kind);
    before != *seen
}

/// Returns a bit for a known kind: such a number is below 16 once the highest bit, [`SKIPPABLE`], is moved to the lowest.
const fn bit(kind: u32) -> u32 {
    1 << (kind.rotate_left(1) % u32::BITS)
}

/// Checks the record of imports and exports, and that it is the first one.
#[cold]
#[inline(never)]
fn check_bindings(bytes: &[u8], is_first: bool) -> Result<(), InvalidModule> {
    if !is_first {
        return Err(InvalidModule::TwoBindings);
    }
    Entries::check(bytes).map_err(|(number, why)| InvalidModule::Binding { number, why })
}

/// Checks the record of events, and that it is the first one.
#[cold]
#[inline(never)]
fn check_events(bytes: &[u8], is_first: bool, records: &[u8]) -> Result<(), InvalidModule> {
    if !is_first {
        return Err(InvalidModule::TwoEvents);
    }
    Events::check(bytes, bindings(records).plain_functions())
        .map_err(|(number, why)| InvalidModule::Event { number, why })
}

/// Checks that each interrupt in the record of events is that of a device in the record of devices, both of which are valid.
#[cold]
#[inline(never)]
fn check_interrupts(records: &[u8]) -> Result<(), InvalidModule> {
    let devices = Devices::new(first_record(records, DEVICES)).count();
    Events::check_devices(first_record(records, EVENTS), devices)
        .map_err(|(number, why)| InvalidModule::Event { number, why })
}

/// Checks the record of devices, and that it is the first one.
#[cfg(feature = "devices")]
#[cold]
#[inline(never)]
fn check_devices(bytes: &[u8], is_first: bool) -> Result<(), InvalidModule> {
    if !is_first {
        return Err(InvalidModule::TwoDeviceLists);
    }
    Devices::check(bytes).map_err(|(number, why)| InvalidModule::Device { number, why })
}

/// Returns whether a module with these records has imports.
#[cold]
#[inline(never)]
fn has_imports(records: &[u8]) -> bool {
    bindings(records).imports().next().is_some()
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
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_bit_of_its_own() {
        let kinds = [
            DEPENDENCIES,
            BINDINGS,
            EVENTS,
            bareflow_abi::record::MEMORY,
            bareflow_abi::record::DEVICES,
            STATE_SCHEMA,
            VARIANT,
            SYMBOLS,
            PARAMETERS,
        ];
        let mut seen = 0;
        for kind in kinds {
            assert!(first(&mut seen, kind));
            assert!(!first(&mut seen, kind));
        }
    }
}
