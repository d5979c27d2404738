//! Parses a module's ELF file into its parts, and refuses files that are not modules.

use std::ops::Range;

use bareflow_abi::ABI_MAJOR;
use bareflow_abi::entry::{Descriptor, ENTRY_SYMBOL};
use bareflow_abi::fingerprint::FINGERPRINTS;
use bareflow_abi::layout::{DATA_OFFSET, MAX_ALIGNMENT, MAX_SEGMENT_SIZE, RODATA_OFFSET, TEXT_OFFSET};
use object::elf::{
    EM_X86_64, ET_DYN, FileHeader64, R_X86_64_RELATIVE, SHF_ALLOC, SHF_TLS, SHF_WRITE, SHN_UNDEF, STB_WEAK, STT_TLS,
};
use object::read::elf::{ElfFile64, ElfSection64, FileHeader, Rela, SectionHeader, Sym};
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, SectionFlags};

use crate::description::{Description, SECTIONS};
use crate::error::PackError;
use crate::symbols::{self, Function};

pub(crate) type File<'data> = ElfFile64<'data, LittleEndian>;

/// The parts of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// The text segment.
    pub text: Vec<u8>,
    /// The read-only data, its fix-ups filled with their targets.
    pub rodata: Vec<u8>,
    /// The initialised data, its fix-ups filled with their targets.
    pub data: Vec<u8>,
    /// The size of the bss, in bytes.
    pub bss_size: u32,
    /// The largest alignment of any part.
    pub alignment: u32,
    /// The offset of the entry in the text.
    pub entry: u32,
    /// The offsets of the fix-ups from the image's base, in ascending order.
    pub fixups: Vec<u64>,
    /// The module's description.
    pub description: Description,
    /// The functions.
    pub symbols: Vec<Function>,
}

impl Elf {
    /// Parses and validates `bytes`.
    ///
    /// # Errors
    /// The reason for which the file is no module.
    pub fn read(bytes: &[u8]) -> Result<Elf, PackError> {
        let file = File::parse(bytes).map_err(unreadable)?;
        check_kind(&file)?;
        check_symbols(&file)?;
        let relocations = relocations(&file)?;
        check_sections(&file)?;
        // Checked first, because a file without an entry is no module, whatever else may be missing.
        let entry = entry(&file)?;
        let mut elf = Elf {
            text: section_at(&file, ".text", TEXT_OFFSET)?,
            rodata: with_collections(&file, section_at(&file, ".rodata", RODATA_OFFSET)?, RODATA_OFFSET..DATA_OFFSET)?,
            data: with_collections(
                &file,
                section_at(&file, ".data", DATA_OFFSET)?,
                DATA_OFFSET..DATA_OFFSET + MAX_SEGMENT_SIZE,
            )?,
            bss_size: 0,
            alignment: alignment(&file)?,
            entry,
            fixups: Vec::new(),
            description: Description::read(&|name| {
                let section = file.section_by_name(name);
                section.map(|section| section.data().map_err(unreadable)).transpose()
            })?,
            symbols: symbols::functions(&file),
        };
        elf.append_bss(&file)?;
        for segment in [&elf.text, &elf.rodata, &elf.data] {
            check_size(segment.len() as u64)?;
        }
        elf.relocate(&file, relocations)?;
        elf.check()?;
        Ok(elf)
    }

    /// Sets the size of the bss, and fills the gap that alignment left before it.
    fn append_bss(&mut self, file: &File<'_>) -> Result<(), PackError> {
        let Some(bss) = file.section_by_name(".bss").filter(|bss| bss.size() > 0) else { return Ok(()) };
        let start = bss.address().checked_sub(DATA_OFFSET).filter(|&start| start >= self.data.len() as u64);
        let misplaced =
            PackError::Misplaced { section: ".bss".to_owned(), found: bss.address(), expected: DATA_OFFSET };
        let start = start.filter(|&start| start <= MAX_SEGMENT_SIZE).ok_or(misplaced)?;
        let end = start.saturating_add(bss.size());
        check_size(end)?;
        // If there is no data before it, all of it can be bss.
        if self.data.is_empty() {
            self.bss_size = narrow(end)?;
        } else {
            self.data.resize(narrow(start)? as usize, 0);
            self.bss_size = narrow(bss.size())?;
        }
        Ok(())
    }

    /// Checks what a loader would refuse: missing code, an entry outside of it, or an unknown ABI.
    fn check(&self) -> Result<(), PackError> {
        let text_size = self.text.len() as u64;
        if text_size == 0 {
            return Err(PackError::NoText);
        }
        if u64::from(self.entry) >= text_size {
            return Err(PackError::EntryOutside { entry: self.entry.into(), text_size });
        }
        self.description.check()?;
        let Descriptor { abi_fingerprint, abi_major, abi_minor, .. } = self.description.descriptor;
        let known = FINGERPRINTS.get(usize::from(abi_minor)).filter(|_| abi_major == ABI_MAJOR);
        if known != Some(&abi_fingerprint) {
            return Err(PackError::ForeignAbi { found: (abi_major, abi_minor), fingerprint: abi_fingerprint });
        }
        Ok(())
    }

    /// Writes the targets into their fix-ups.
    fn relocate(&mut self, file: &File<'_>, relocations: Vec<(u64, u64)>) -> Result<(), PackError> {
        for (offset, target) in relocations {
            let segment = match offset {
                RODATA_OFFSET..DATA_OFFSET => self.rodata.get_mut((offset - RODATA_OFFSET) as usize..),
                DATA_OFFSET.. => self.data.get_mut((offset - DATA_OFFSET) as usize..),
                _ => None,
            };
            let fixup = segment.and_then(|rest| rest.first_chunk_mut::<8>());
            let fixup = fixup.ok_or_else(|| refused_relocation(file, offset, R_X86_64_RELATIVE, None))?;
            *fixup = target.to_le_bytes();
            self.fixups.push(offset);
        }
        self.fixups.sort_unstable();
        Ok(())
    }
}

fn unreadable(error: object::Error) -> PackError {
    PackError::NotElf { reason: error.to_string() }
}

fn narrow(value: u64) -> Result<u32, PackError> {
    u32::try_from(value).map_err(|_| PackError::TooLarge { found: value })
}

fn check_size(size: u64) -> Result<(), PackError> {
    if size > MAX_SEGMENT_SIZE { Err(PackError::TooLarge { found: size }) } else { Ok(()) }
}

fn check_kind(file: &File<'_>) -> Result<(), PackError> {
    let header: &FileHeader64<LittleEndian> = file.elf_header();
    let (machine, kind) = (header.e_machine(LittleEndian), header.e_type(LittleEndian));
    if machine == EM_X86_64 && kind == ET_DYN {
        return Ok(());
    }
    Err(PackError::WrongKind { found: format!("machine {machine}, type {kind}") })
}

/// Checks that every symbol is defined, or weak and so 0 by the ELF ABI, and that none is thread-local.
fn check_symbols(file: &File<'_>) -> Result<(), PackError> {
    let mut undefined = Vec::new();
    for symbol in file.symbols() {
        let raw = symbol.elf_symbol();
        let name = symbol.name().map_err(unreadable)?.to_owned();
        if raw.st_type() == STT_TLS {
            return Err(PackError::ThreadLocal { symbol: name });
        }
        if raw.st_shndx(LittleEndian) == SHN_UNDEF && !name.is_empty() && raw.st_bind() != STB_WEAK {
            undefined.push(name);
        }
    }
    if undefined.is_empty() {
        return Ok(());
    }
    undefined.sort_unstable();
    Err(PackError::UndefinedSymbols { symbols: undefined })
}

/// Returns whether a section collects items from all over a program.
///
/// The name of such a section is a C identifier, from which the linker makes the symbols `__start_` and `__stop_`.
fn is_collection(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A section that collects items from all over a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    /// The section's name, a C identifier.
    pub name: String,
    /// Whether its flags say that it is written to, if only for relocation.
    pub is_writable: bool,
}

/// Returns the collections of a linked file, in its order.
///
/// They belong after `.rodata` or `.data`, but the linker does not know which.
#[must_use]
pub fn collections(elf: &[u8]) -> Vec<Collection> {
    let Ok(file) = File::parse(elf) else { return Vec::new() };
    let is_one = |section: &ElfSection64<'_, '_, LittleEndian>| {
        section.size() > 0 && is_loaded(section) && section.name().is_ok_and(is_collection)
    };
    let found = file.sections().filter(is_one);
    let collection = |section: ElfSection64<'_, '_, LittleEndian>| Collection {
        name: section.name().unwrap_or_default().to_owned(),
        is_writable: matches!(section.flags(), SectionFlags::Elf { sh_flags } if sh_flags & u64::from(SHF_WRITE) != 0),
    };
    found.map(collection).collect()
}

/// Returns a segment with the collections that the linker put after its section, in the order of their addresses.
fn with_collections(file: &File<'_>, mut bytes: Vec<u8>, place: Range<u64>) -> Result<Vec<u8>, PackError> {
    let mut found: Vec<_> = file
        .sections()
        .filter(|section| section.size() > 0 && is_loaded(section) && place.contains(&section.address()))
        .filter(|section| section.name().is_ok_and(is_collection))
        .collect();
    found.sort_by_key(|section| section.address());
    for section in found {
        let start = section.address() - place.start;
        let misplaced = || PackError::Misplaced {
            section: section.name().unwrap_or_default().to_owned(),
            found: section.address(),
            expected: place.start + bytes.len() as u64,
        };
        check_size(start.saturating_add(section.size()))?;
        if start < bytes.len() as u64 {
            return Err(misplaced());
        }
        bytes.resize(start as usize, 0);
        bytes.extend_from_slice(section.data().map_err(unreadable)?);
    }
    Ok(bytes)
}

fn is_loaded(section: &ElfSection64<'_, '_, LittleEndian>) -> bool {
    matches!(section.flags(), SectionFlags::Elf { sh_flags } if sh_flags & u64::from(SHF_ALLOC) != 0)
}

/// Checks that a blob has room for every loaded section.
fn check_sections(file: &File<'_>) -> Result<(), PackError> {
    const KNOWN: [&str; 5] = [".text", ".rodata", ".data", ".bss", ".rela.dyn"];
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        let name = section.name().map_err(unreadable)?;
        if sh_flags & u64::from(SHF_TLS) != 0 {
            return Err(PackError::ThreadLocal { symbol: name.to_owned() });
        }
        let is_known = KNOWN.contains(&name) || SECTIONS.contains(&name);
        let is_collected =
            is_collection(name) && (RODATA_OFFSET..DATA_OFFSET + MAX_SEGMENT_SIZE).contains(&section.address());
        if sh_flags & u64::from(SHF_ALLOC) != 0 && section.size() > 0 && !is_known && !is_collected {
            return Err(PackError::UnknownSection { section: name.to_owned() });
        }
    }
    Ok(())
}

/// Returns the bytes of a section that belongs at `expected`; empty if there is no such section.
fn section_at(file: &File<'_>, name: &str, expected: u64) -> Result<Vec<u8>, PackError> {
    let Some(section) = file.section_by_name(name).filter(|section| section.size() > 0) else {
        return Ok(Vec::new());
    };
    if section.address() != expected {
        return Err(PackError::Misplaced { section: name.to_owned(), found: section.address(), expected });
    }
    section.data().map(<[u8]>::to_vec).map_err(unreadable)
}

/// Returns the largest alignment of the loaded sections.
fn alignment(file: &File<'_>) -> Result<u32, PackError> {
    let is_part = |name: &str| [".text", ".rodata", ".data", ".bss"].contains(&name) || is_collection(name);
    let sections = file.sections().filter(|section| is_loaded(section) && section.name().is_ok_and(is_part));
    let mut largest = 1;
    for section in sections.filter(|section| section.size() > 0) {
        let found = section.align().max(1);
        if found > u64::from(MAX_ALIGNMENT) || !found.is_power_of_two() {
            return Err(PackError::Alignment { found });
        }
        largest = largest.max(found);
    }
    narrow(largest)
}

fn entry(file: &File<'_>) -> Result<u32, PackError> {
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(ENTRY_SYMBOL)).ok_or(PackError::MissingEntry)?;
    narrow(symbol.address().wrapping_sub(TEXT_OFFSET))
}

/// Returns offset and target of all dynamic relocations, which must all be of one type.
fn relocations(file: &File<'_>) -> Result<Vec<(u64, u64)>, PackError> {
    let mut found = Vec::new();
    let table = file.elf_section_table();
    for section in table.iter().filter(|section| section.sh_flags(LittleEndian) & u64::from(SHF_ALLOC) != 0) {
        let Some((relocations, symbols)) = section.rela(LittleEndian, file.data()).map_err(unreadable)? else {
            continue;
        };
        let symbols = table.symbol_table_by_index(LittleEndian, file.data(), symbols).ok();
        for relocation in relocations {
            let offset = relocation.r_offset(LittleEndian);
            let kind = relocation.r_type(LittleEndian, false);
            if kind != R_X86_64_RELATIVE {
                let index = relocation.symbol(LittleEndian, false);
                let name = index.zip(symbols.as_ref()).and_then(|(index, symbols)| {
                    let symbol = symbols.symbol(index).ok()?;
                    let name = symbols.symbol_name(LittleEndian, symbol).ok()?;
                    Some(String::from_utf8_lossy(name).into_owned()).filter(|name| !name.is_empty())
                });
                return Err(refused_relocation(file, offset, kind, name));
            }
            found.push((offset, relocation.r_addend(LittleEndian).cast_unsigned()));
        }
    }
    Ok(found)
}

/// Returns the error for a relocation at `offset`, named after its symbol or else the symbol that contains it.
fn refused_relocation(file: &File<'_>, offset: u64, kind: u32, symbol: Option<String>) -> PackError {
    let (section, inside) = place_of(file, offset);
    PackError::Relocation { kind, symbol: symbol.unwrap_or(inside), section }
}

/// Returns the names of the section and the symbol at `address`.
fn place_of(file: &File<'_>, address: u64) -> (String, String) {
    let inside = |start: u64, size: u64| address >= start && address - start < size;
    let section = file.sections().find(|section| inside(section.address(), section.size()));
    let symbol = file.symbols().find(|symbol| inside(symbol.address(), symbol.size()));
    let name = |name: Option<&str>| name.map_or_else(|| format!("{address:#x}"), ToOwned::to_owned);
    (name(section.and_then(|section| section.name().ok())), name(symbol.and_then(|symbol| symbol.name().ok())))
}
