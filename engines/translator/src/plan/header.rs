//! The header, as far as it does not depend on the code.

use alloc::format;

use bareflow_abi::fingerprint;
use bareflow_abi::header::{
    FLAG_ACCOUNT, FLAG_EXIT, FLAG_INIT, FLAG_MIGRATE, FLAG_NO_RUN, FLAG_STATE, FORMAT_VERSION, Header, MACHINE_X86_64,
    MAGIC, SERVICE_GROW,
};
use bareflow_abi::layout::MAX_ALIGNMENT;
use bareflow_abi::{ABI_MAJOR, ABI_MINOR};
use bareflow_portable::description::name_field;
use bareflow_portable::refusal::Refusal;
use bareflow_portable::sections::EntryFunctions;

use crate::module::Module;
use crate::options::{Bounds, Options};

/// The stack of a module without a description, in bytes: enough for as many nested calls as an interpreter has room for, in
/// frames of 64 bytes.
const STACK_BYTES: u32 = 256 << 10;

/// Returns the header, without sizes and checksum.
pub(super) fn header(
    module: &Module<'_>,
    entry_functions: EntryFunctions,
    options: &Options,
    name: &str,
) -> Result<Header, Refusal> {
    // Not that calls may overlap: they share one instance.
    const COPIED: u32 = FLAG_EXIT | FLAG_MIGRATE | FLAG_STATE | FLAG_ACCOUNT | FLAG_NO_RUN;
    let description = module.sections.description.as_ref();
    let own = description.map(|description| description.header).unwrap_or_default();
    let grows = options.bounds == Bounds::Window && module.grows_memory;
    let services = module.sections.services() | if grows { SERVICE_GROW } else { 0 };
    let (name, version, flags, services) = match description {
        Some(_) => {
            let version = (own.version_major, own.version_minor, own.version_patch);
            (own.name, version, own.flags & COPIED, own.services | services)
        }
        None => {
            let field = name_field(name).ok_or_else(|| {
                Refusal::invalid(format!("the name {name:?} is no module's: expected 1 to 31 of a-z, 0-9, _ and -"))
            })?;
            (field, options.version, entry_functions.flags(), services)
        }
    };
    Ok(Header {
        magic: MAGIC,
        format: FORMAT_VERSION,
        machine: MACHINE_X86_64,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        flags: flags | FLAG_INIT,
        abi_fingerprint: fingerprint::FINGERPRINT,
        name,
        version_major: version.0,
        version_minor: version.1,
        version_patch: version.2,
        alignment: MAX_ALIGNMENT,
        services,
        stack_size: description.map_or(STACK_BYTES, |_| own.stack_size),
        heap_size: own.heap_size,
        time_us: own.time_us,
        cpu_level: options.cpu_level,
        ..Header::default()
    })
}
