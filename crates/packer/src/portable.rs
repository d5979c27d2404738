//! Packing of WebAssembly: the linked file becomes a portable module, described in a custom section.

use bareflow_abi::ABI_MAJOR;
use bareflow_abi::entry::{Descriptor, ENTRY_SYMBOL};
use bareflow_abi::fingerprint::FINGERPRINTS;
use bareflow_abi::header::{FLAG_ACCOUNT, FLAG_REENTRANT, Header};
use bareflow_abi::interface::bindings::Entries;
use bareflow_abi::memory::MAX_MEMORY_PAGES;
use bareflow_abi::portable::{self, IMPORT_MODULE, PAGE_SIZE, SECTION, import_named};

use crate::description::Description;
use crate::error::PackError;
use crate::stamp::Identity;
use crate::wasm::{ExternKind, Import, Memory, Wasm, Writer, section};
use crate::{Settings, demangle};

/// The pages by which the memory may grow for copies of input and arguments: 1 MiB, the largest input of a client, and one
/// more, since they do not begin with a page.
const LENT_PAGES: u32 = 17;

/// Packs `wasm`, linked with the entry of `module!` as an export. The same input gives the same bytes.
///
/// # Errors
/// The reason for which no engine or no loader would take the module.
pub fn pack_portable(wasm: &[u8], settings: &Settings) -> Result<Vec<u8>, PackError> {
    let identity = Identity::of(settings)?;
    let wasm = Wasm::read(wasm)?;
    check_imports(&wasm)?;
    let entry = entry(&wasm)?;
    let mut description = Description::read(&|name| Ok(wasm.custom(name)))?;
    description.check()?;
    check_interfaces(&description)?;
    make_native(&mut description)?;
    let (header, records) = identity.stamp(settings, &description)?;
    let mut writer = Writer::new();
    writer.custom(SECTION, &described(header, &records));
    for found in wasm.sections.iter().filter(|found| found.number != section::CUSTOM) {
        match (found.number, wasm.memory) {
            (section::MEMORY, Some(memory)) => writer.memory(with_maximum(memory, &wasm, &description, settings)),
            (section::EXPORT, _) => writer
                .exports(&[(portable::ENTRY, ExternKind::Function, entry), (portable::MEMORY, ExternKind::Memory, 0)]),
            _ => writer.section(found.number, found.bytes),
        }
    }
    if !settings.strip {
        let names = wasm.names.iter().map(|(function, name)| (*function, format!("{:#}", demangle(name))));
        writer.names(&settings.name, &names.collect::<Vec<_>>());
    }
    Ok(writer.end())
}

/// Checks that an engine provides the imports of a file, and has a function to call: any file, not only what is packed here.
///
/// # Errors
/// The reason for which no engine would take it.
pub fn check_portable(wasm: &Wasm<'_>) -> Result<(), PackError> {
    if let Some(Import { module, name, .. }) = wasm.imports.iter().find(|import| !is_provided(import)) {
        return Err(PackError::NotProvided { module: (*module).to_owned(), name: (*name).to_owned() });
    }
    match [portable::ENTRY, portable::RUN].iter().any(|name| wasm.exported_function(name).is_some()) {
        true => Ok(()),
        false => Err(PackError::NothingExported),
    }
}

/// Returns the content of the section that describes the module.
fn described(header: Header, records: &[u8]) -> Vec<u8> {
    [&header.to_bytes()[..], records].concat()
}

/// Checks that an engine provides all imports.
fn check_imports(wasm: &Wasm<'_>) -> Result<(), PackError> {
    let unknown: Vec<_> = wasm.imports.iter().filter(|import| !is_provided(import)).collect();
    // The linker makes imports of this module for undefined symbols.
    let undefined = unknown.iter().filter(|import| import.module == "env");
    let mut symbols: Vec<_> = undefined.map(|import| import.name.to_owned()).collect();
    symbols.sort_unstable();
    match unknown.iter().find(|import| import.module != "env") {
        _ if symbols.iter().any(|name| name == ENTRY_SYMBOL) => Err(PackError::MissingEntry),
        _ if !symbols.is_empty() => Err(PackError::UndefinedSymbols { symbols }),
        Some(Import { module, name, .. }) => {
            Err(PackError::NotProvided { module: (*module).to_owned(), name: (*name).to_owned() })
        }
        None => Ok(()),
    }
}

fn is_provided(import: &Import<'_>) -> bool {
    let Some(known) = import_named(import.name).filter(|_| import.module == IMPORT_MODULE) else { return false };
    import.signature.as_ref().is_some_and(|(arguments, results)| {
        arguments == known.arguments && results.as_slice() == known.result.as_slice()
    })
}

/// Returns the number of the function that is the entry.
fn entry(wasm: &Wasm<'_>) -> Result<u32, PackError> {
    let entry = wasm.exported_function(portable::ENTRY_SYMBOL).ok_or(PackError::MissingEntry)?;
    // The linker puts a function that runs the constructors in front of it.
    if wasm.name_of(entry).is_some_and(|name| name.ends_with(".command_export")) {
        return Err(PackError::UnknownSection { section: ".init_array".to_owned() });
    }
    Ok(entry)
}

/// The interface by which modules share memory. It hands out addresses.
const REGIONS: &str = "regions";

/// Checks that the module imports nothing that gives it addresses outside of its memory.
fn check_interfaces(description: &Description) -> Result<(), PackError> {
    match Entries::new(&description.bindings).imports().any(|import| import.interface == REGIONS) {
        true => Err(PackError::OutsideMemory { interface: REGIONS }),
        false => Ok(()),
    }
}

/// Makes a description that of a module for this machine, which an engine makes of it.
fn make_native(description: &mut Description) -> Result<(), PackError> {
    let Descriptor { abi_fingerprint, abi_major, abi_minor, flags } = description.descriptor;
    let foreign = PackError::ForeignAbi { found: (abi_major, abi_minor), fingerprint: abi_fingerprint };
    let released = FINGERPRINTS.get(usize::from(abi_minor)).filter(|_| abi_major == ABI_MAJOR);
    // An instance has one stack, so its calls can't overlap.
    let flags = flags & !FLAG_REENTRANT;
    description.descriptor = Descriptor { abi_fingerprint: *released.ok_or(foreign)?, abi_major, abi_minor, flags };
    // The layout of the context in WebAssembly is nobody else's concern.
    description.layout = None;
    Ok(())
}

/// Returns the memory with the most pages that the module needs.
fn with_maximum(memory: Memory, wasm: &Wasm<'_>, description: &Description, settings: &Settings) -> Memory {
    let copies_what_is_lent = wasm.imports.iter().any(|import| import.name == "input_read");
    let lent = if copies_what_is_lent { LENT_PAGES } else { 0 };
    let allocates = description.descriptor.flags & FLAG_ACCOUNT != 0;
    let heap = if allocates { settings.heap_size.div_ceil(PAGE_SIZE) } else { 0 };
    Memory { maximum: Some(memory.initial.saturating_add(lent + heap).min(MAX_MEMORY_PAGES)), ..memory }
}

#[cfg(test)]
#[path = "portable_tests.rs"]
mod tests;
