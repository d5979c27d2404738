//! The uses of a linked file: the services that it calls, whether it allocates, and undefined symbols.

use bareflow_abi::entry::{DESCRIPTOR_SECTION, Descriptor, USES_SECTION};
use bareflow_abi::header::{FLAG_ACCOUNT, SERVICE_CALL, SERVICE_CLOCK, SERVICE_INVOKE, SERVICE_LOG};
use bareflow_abi::portable::import_named;
use object::elf::SHN_UNDEF;
use object::read::elf::Sym;
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol};

use crate::elf::File;
use crate::wasm::Wasm;

/// The uses of a module's code, as its marks say. A module that is built against an older `abi` has no marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// The services that it calls, as `SERVICE_*` bits.
    pub services: u32,
    /// Whether it allocates.
    pub heap: bool,
}

/// Returns the uses of a linked file.
#[must_use]
pub fn uses(elf: &[u8]) -> Uses {
    let file = File::parse(elf).ok();
    let marks = file.as_ref().and_then(|file| file.section_by_name(USES_SECTION)?.data().ok()).unwrap_or_default();
    let bits = [(b'l', SERVICE_LOG), (b't', SERVICE_CLOCK), (b'c', SERVICE_CALL)];
    let services = bits.iter().filter(|(letter, _)| marks.contains(letter)).fold(0, |all, (_, bit)| all | bit);
    Uses { services, heap: marks.contains(&b'h') }
}

/// Returns the uses of linked WebAssembly: what it imports, and whether it is compiled with an allocator.
#[must_use]
pub fn portable_uses(wasm: &[u8]) -> Uses {
    let Ok(wasm) = Wasm::read(wasm) else { return Uses::default() };
    let imported = wasm.imports.iter().filter_map(|import| import_named(import.name));
    let descriptor =
        wasm.custom(DESCRIPTOR_SECTION).and_then(|bytes| bytes.try_into().ok()).map(Descriptor::from_bytes);
    Uses {
        services: imported.fold(0, |all, import| all | import.service) & !SERVICE_INVOKE,
        heap: descriptor.is_some_and(|descriptor| descriptor.flags & FLAG_ACCOUNT != 0),
    }
}

/// Returns those of `names` that a linked file needs and does not define.
#[must_use]
pub fn undefined_among<'name>(elf: &[u8], names: &[&'name str]) -> Vec<&'name str> {
    let Ok(file) = File::parse(elf) else { return Vec::new() };
    let undefined: Vec<_> = file
        .symbols()
        .filter(|symbol| symbol.elf_symbol().st_shndx(LittleEndian) == SHN_UNDEF)
        .filter_map(|symbol| symbol.name().ok())
        .collect();
    names.iter().copied().filter(|name| undefined.contains(name)).collect()
}
