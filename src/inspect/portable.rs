//! The contents of a portable module, and whether an engine could take it.

use bareflow_abi::header::{HEADER_SIZE, Header, MACHINE_X86_64, MAGIC};
use bareflow_abi::portable::{SECTION, ValueType};
use bareflow_loader::{Permissions, Printable, RawModule};
use bareflow_packer::wasm::{Export, ExternKind, Import, Memory, Wasm, section};
use bareflow_packer::{PackError, check_portable};
use serde::Serialize;

use super::{About, HeaderField, header_fields, show_about};
use crate::say;

/// The first bytes of a file that is WebAssembly.
const WASM_MAGIC: &[u8] = b"\0asm";

/// Returns whether a file is WebAssembly.
pub(super) fn is_wasm(bytes: &[u8]) -> bool {
    bytes.starts_with(WASM_MAGIC)
}

/// The inspection of a portable module, which is printed and written as JSON.
#[derive(Debug, Serialize)]
pub(super) struct PortableInspection {
    file: String,
    blob_size: usize,
    verdict: String,
    pub(super) valid: bool,
    /// The services that the module declares, in the syntax of `--allow`; empty if it has no description.
    declares: String,
    /// The header in its description; empty if there is none.
    header: Vec<HeaderField>,
    sections: Vec<Section>,
    memory: Option<Pages>,
    /// The functions that it imports, and what it exports.
    imported: Vec<String>,
    exported: Vec<String>,
    /// The number of functions with names.
    named: usize,
    #[serde(flatten)]
    about: About,
}

#[derive(Debug, Serialize)]
struct Section {
    name: String,
    size: usize,
}

/// The pages of the memory.
#[derive(Debug, Serialize)]
struct Pages {
    initial: u32,
    maximum: Option<u32>,
}

/// Inspects a file.
pub(super) fn examine(file: &str, bytes: &[u8]) -> PortableInspection {
    let read = Wasm::read(bytes);
    let verdict = read.as_ref().map_err(PackError::clone).and_then(check_portable).map_err(|error| error.to_string());
    let wasm = read.ok();
    // The description is a blob, but for the code, of which a byte stands in.
    let described = wasm.as_ref().and_then(|wasm| wasm.custom(SECTION)?.split_first_chunk::<HEADER_SIZE>());
    let described = described.map(|(header, records)| (Header::from_bytes(header), records));
    let header = described.map(|(header, _)| header).filter(|header| header.magic == MAGIC);
    let blob = described.map(|(header, records)| {
        let record_size = records.len() as u32;
        let header = Header { machine: MACHINE_X86_64, text_size: 1, alignment: 1, record_size, ..header };
        [&header.to_bytes()[..], &[0], records].concat()
    });
    let parsed = blob.as_ref().map(|blob| RawModule::parse(blob)).transpose();
    let verdict = verdict.and(parsed.map_err(|error| format!("the section {SECTION}: {error}")));
    let raw = verdict.as_ref().ok().copied().flatten();
    PortableInspection {
        file: file.to_owned(),
        blob_size: bytes.len(),
        valid: verdict.is_ok(),
        verdict: verdict
            .err()
            .map_or("an engine may take it: it checks the code when the module is loaded".to_owned(), |error| {
                format!("refused: {error}")
            }),
        declares: header.as_ref().map(|header| Permissions::declared(header).to_string()).unwrap_or_default(),
        header: header.as_ref().map(header_fields).unwrap_or_default(),
        sections: wasm.iter().flat_map(|wasm| &wasm.sections).map(section_of).collect(),
        memory: wasm
            .as_ref()
            .and_then(|wasm| wasm.memory)
            .map(|Memory { initial, maximum }| Pages { initial, maximum }),
        imported: wasm.iter().flat_map(|wasm| &wasm.imports).map(import).collect(),
        exported: wasm.iter().flat_map(|wasm| &wasm.exports).map(export).collect(),
        named: wasm.as_ref().map_or(0, |wasm| wasm.names.len()),
        about: raw.map(About::of).unwrap_or_default(),
    }
}

fn section_of(found: &bareflow_packer::wasm::Section<'_>) -> Section {
    let number = usize::from(found.number);
    let name = section::NAMES.get(number).map_or_else(|| format!("number {number}"), |name| (*name).to_owned());
    let name = if found.name.is_empty() { name } else { format!("{name} {}", printable(found.name)) };
    Section { name, size: found.bytes.len() }
}

fn import(Import { module, name, kind, signature }: &Import<'_>) -> String {
    let types = |types: &[ValueType]| {
        types.iter().map(|found| format!("{found:?}").to_lowercase()).collect::<Vec<_>>().join(", ")
    };
    let (module, name) = (printable(module), printable(name));
    match signature {
        Some((arguments, results)) if results.is_empty() => format!("{module}.{name}({})", types(arguments)),
        Some((arguments, results)) => format!("{module}.{name}({}) -> {}", types(arguments), types(results)),
        None => format!("{module}.{name}, a {}", kind_name(*kind)),
    }
}

fn export(Export { name, kind, .. }: &Export<'_>) -> String {
    format!("{}, a {}", printable(name), kind_name(*kind))
}

const fn kind_name(kind: ExternKind) -> &'static str {
    match kind {
        ExternKind::Function => "function",
        ExternKind::Table => "table",
        ExternKind::Memory => "memory",
        ExternKind::Global => "global",
    }
}

fn printable(text: &str) -> String {
    Printable(text.as_bytes()).to_string()
}

/// Prints an inspection.
pub(super) fn show(inspection: &PortableInspection) {
    say!("{}: {} bytes of WebAssembly", inspection.file, inspection.blob_size);
    if inspection.header.is_empty() {
        say!("no description: an engine takes the name of the file, and the services of the imports");
    } else {
        say!("declares {}\n\nHeader", inspection.declares);
    }
    for field in &inspection.header {
        say!("  {:>3}  {:<16} {}", field.offset, field.name, field.value);
    }
    say!("\nSections");
    for Section { name, size } in &inspection.sections {
        say!("  {name:<22} {size:>10} bytes");
    }
    if let Some(Pages { initial, maximum }) = inspection.memory {
        let maximum = maximum.map_or("as many as the engine gives it".to_owned(), |maximum| maximum.to_string());
        say!("\nMemory: {initial} pages of 64 KiB, at most {maximum}");
    }
    for (title, list) in [("Imports", &inspection.imported), ("Exports", &inspection.exported)] {
        say!("\n{title}: {}", list.len());
        list.iter().for_each(|line| say!("  {line}"));
    }
    say!("\nNamed functions: {}", inspection.named);
    show_about(&inspection.about);
    say!("\nVerdict: {}", inspection.verdict);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bareflow_abi::header::FORMAT_VERSION;

    /// Returns a file with a description and the export `run`.
    fn file(header: &Header, records: &[u8]) -> Vec<u8> {
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        let content = [&[SECTION.len() as u8], SECTION.as_bytes(), &header.to_bytes(), records].concat();
        bytes.extend([0, content.len() as u8 | 0x80, (content.len() >> 7) as u8]);
        bytes.extend(content);
        bytes.extend(b"\x07\x07\x01\x03run\0\0");
        bytes
    }

    #[test]
    fn shows_what_a_description_has() {
        let header = Header { magic: MAGIC, format: FORMAT_VERSION, services: 1, ..Header::default() };
        let inspection = examine("m.wasm", &file(&header, &[1, 0, 0, 0x80, 4, 0, 0, 0, 42, 0, 0, 0]));
        assert!(inspection.valid, "{}", inspection.verdict);
        assert_eq!((inspection.declares.as_str(), inspection.about.records.len()), ("log", 1));
        assert_eq!(inspection.exported, ["run, a function"]);
        show(&inspection);
    }

    #[test]
    fn says_what_is_wrong() {
        let verdict = |bytes: &[u8]| examine("m.wasm", bytes).verdict;
        let header = Header { magic: MAGIC, format: FORMAT_VERSION, flags: 1 << 30, ..Header::default() };
        let flags = verdict(&file(&header, &[]));
        assert!(flags.starts_with("refused: the section bareflow.module: "), "{flags}");
        let whole = file(&header, &[]);
        assert_eq!(
            verdict(&whole[..whole.len() - 1]).split(';').next(),
            Some("refused: not readable WebAssembly: a section")
        );
        assert!(verdict(b"\0asm\x01\0\0\0").starts_with("refused: nothing to call"));
    }
}
