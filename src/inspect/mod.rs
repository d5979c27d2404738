//! The `inspect` command: shows the contents of a blob, and whether it would be loaded.

pub(crate) mod disassembly;
mod events;
mod memory;
mod portable;

use std::path::Path;

use anyhow::Result;
use bareflow_abi::checksum::Crc32c;
use bareflow_abi::depends::Dependencies;
use bareflow_abi::header::{Header, MAGIC};
use bareflow_abi::layout::{DATA_OFFSET, RODATA_OFFSET};
use bareflow_abi::parameters::{Parameter, ParameterType};
use bareflow_abi::record::{DEPENDENCIES, SKIPPABLE, SYMBOLS, TRAPS, VARIANT};
use bareflow_abi::symbols::Symbols;
use bareflow_abi::traps::Traps;
use bareflow_abi::variant::VariantHeader;
use bareflow_loader::code::base_header;
use bareflow_loader::error::ServiceNames;
use bareflow_loader::fixups::Fixups;
use bareflow_loader::parameters::parameters_of;
use bareflow_loader::records::Records;
use bareflow_loader::valid::Capabilities;
use bareflow_loader::{
    Allowed, Budget, CodeVariant, LoadError, LoadOptions, Permissions, Printable, RawModule, ValidModule, VersionRange,
};
use serde::Serialize;

use crate::input_files::{read_blob, write_json};
use crate::interfaces::exports;
use crate::interfaces::listing::{self, Export, Import};
use crate::output::report_refused;
use crate::{Exit, say};
use disassembly::{Line, disassemble};

/// The inspection of a blob, which is printed and written as JSON.
#[derive(Debug, Serialize)]
struct Inspection {
    file: String,
    blob_size: usize,
    verdict: String,
    valid: bool,
    /// The services that the module declares, and whether it uses a heap, in the syntax of `--allow`.
    declares: String,
    /// The budget of a call under the default limits, and these limits; `None` if the blob would be refused.
    budget: Option<Budget>,
    limits: Budget,
    header: Vec<HeaderField>,
    #[serde(flatten)]
    code: CodeParts,
    #[serde(flatten)]
    about: About,
    variants: Vec<Variant>,
}

/// The parts of a module that its records describe.
#[derive(Debug, Default, Serialize)]
struct About {
    records: Vec<Record>,
    /// The parameters that may be set when the module is loaded.
    parameters: Vec<DeclaredParameter>,
    /// The interfaces that the module uses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    imports: Vec<Import>,
    /// The interfaces and functions that it provides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    exports: Vec<Export>,
    /// The events that it handles, and the notifications that it publishes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<events::Event>,
    /// The linear memory, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<memory::LinearMemory>,
}

impl About {
    fn of(raw: RawModule<'_>) -> About {
        let interfaces = exports::of_blob(raw);
        let (imports, exports) = listing::split(&interfaces, &[]);
        let events = events::events(raw, &interfaces);
        let memory = memory::memory(raw);
        About { records: records(raw), parameters: parameters(raw), imports, exports, events, memory }
    }
}

/// A function that the blob names.
#[derive(Debug, Serialize)]
struct Function {
    offset: String,
    size: u32,
    name: String,
}

/// The module's code for processors of a higher x86-64 level.
#[derive(Debug, Serialize)]
struct Variant {
    cpu_level: u8,
    entry: String,
    #[serde(flatten)]
    code: CodeParts,
}

/// The parts of a module's code for one level.
#[derive(Debug, Default, Serialize)]
struct CodeParts {
    segments: Vec<Segment>,
    fixups: Vec<String>,
    symbols: Vec<Function>,
    /// The number of trap sites.
    traps: usize,
    disassembly: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct HeaderField {
    name: &'static str,
    offset: usize,
    value: String,
}

#[derive(Debug, Serialize)]
struct Segment {
    name: &'static str,
    offset: String,
    size: u64,
    permission: &'static str,
}

/// A parameter that may be set when the module is loaded; values are texts, as they are written.
#[derive(Debug, Serialize)]
struct DeclaredParameter {
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    /// The type with the values that may be set, for people.
    #[serde(skip)]
    admitted: String,
    default: String,
    min: Option<String>,
    max: Option<String>,
    /// The length of the longest text, in bytes.
    max_length: Option<u16>,
    description: String,
}

#[derive(Debug, Serialize)]
struct Record {
    kind: String,
    skippable: bool,
    length: usize,
    /// The modules listed, if this is the record of dependencies.
    depends: Vec<String>,
}

/// All capabilities that a machine can have, since the verdict is about the blob only.
const CAPABILITIES: Capabilities = Capabilities { services: u32::MAX, cpu_level: 4, checksum: Crc32c::SOFTWARE };

/// Runs the command.
///
/// # Errors
/// When the JSON can't be written.
pub fn inspect(file: &Path, allowed: Allowed, json: Option<&Path>) -> Result<Exit> {
    let blob = match read_blob(file) {
        Ok(blob) => blob,
        Err(error) => {
            report_refused(&file.display().to_string(), &error);
            return Ok(Exit::Failed);
        }
    };
    if portable::is_wasm(&blob) {
        let inspection = portable::examine(&file.display().to_string(), &blob);
        portable::show(&inspection);
        if let Some(path) = json {
            write_json(path, &inspection)?;
        }
        return Ok(if inspection.valid { Exit::Passed } else { Exit::Failed });
    }
    let inspection = examine(&file.display().to_string(), &blob, allowed);
    show(&inspection);
    if let Some(path) = json {
        write_json(path, &inspection)?;
    }
    Ok(if inspection.valid { Exit::Passed } else { Exit::Failed })
}

fn examine(file: &str, blob: &[u8], allowed: Allowed) -> Inspection {
    let verdict: Result<ValidModule<'_>, LoadError> = RawModule::parse(blob)
        .map_err(LoadError::from)
        .and_then(|raw| ValidModule::validate(raw, CAPABILITIES).map_err(LoadError::from))
        .and_then(|valid| LoadOptions { allowed, ..LoadOptions::default() }.permit(&valid).map(|()| valid));
    let raw = RawModule::parse(blob).ok();
    // Without the magic, the fields would be meaningless.
    let header = blob.first_chunk().map(Header::from_bytes).filter(|header| header.magic == MAGIC);
    let raw = raw.filter(|_| header.is_some());
    let wanted = verdict.as_ref().ok().map(|valid| Budget::of(&valid.raw().header(), &Budget::LIMITS));
    Inspection {
        file: file.to_owned(),
        blob_size: blob.len(),
        valid: verdict.is_ok(),
        verdict: verdict.err().map_or("valid".to_owned(), |error| format!("refused: {error}")),
        declares: header.as_ref().map(|header| Permissions::declared(header).to_string()).unwrap_or_default(),
        budget: wanted,
        limits: Budget::LIMITS,
        header: header.as_ref().map(header_fields).unwrap_or_default(),
        code: match raw {
            Some(raw) => parts(&raw.code, &Records::new(raw.records).flatten().collect::<Vec<_>>()),
            // The header may be there without all that it announces.
            None => CodeParts {
                segments: header.map(|header| segments(&base_header(&header))).unwrap_or_default(),
                ..CodeParts::default()
            },
        },
        about: raw.map(About::of).unwrap_or_default(),
        variants: raw.map(variants).unwrap_or_default(),
    }
}

/// Returns all header fields, with the meaning of those whose numbers have one.
fn header_fields(header: &Header) -> Vec<HeaderField> {
    let bytes = header.to_bytes();
    let value = |name, offset: usize, size: usize| match name {
        "name" => format!("\"{}\"", header.name_bytes().escape_ascii()),
        "reserved" => format!("{:?}", header.reserved),
        "services" => format!("{:#x} ({})", header.services, ServiceNames(header.services)),
        "cpu_level" => format!("{0} (x86-64-v{0})", header.cpu_level),
        _ => {
            let digits = bytes.get(offset..offset + size).unwrap_or_default();
            let number = digits.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
            let in_hexadecimal = matches!(name, "magic" | "flags" | "abi_fingerprint" | "entry" | "checksum");
            if in_hexadecimal { format!("{number:#x}") } else { number.to_string() }
        }
    };
    let fields = Header::FIELDS.iter();
    fields.map(|&(name, offset, size)| HeaderField { name, offset, value: value(name, offset, size) }).collect()
}

/// Returns the variants that can be parsed.
fn variants(raw: RawModule<'_>) -> Vec<Variant> {
    let variant = |(code, records): (CodeVariant<'_>, &[bareflow_loader::records::Record<'_>])| Variant {
        cpu_level: code.header.level,
        entry: format!("{:#x}", code.header.entry),
        code: parts(&code, records),
    };
    // What belongs to a variant follows it.
    let records: Vec<_> = Records::new(raw.records).flatten().collect();
    let found = records.iter().enumerate().filter(|(_, record)| record.kind == VARIANT);
    let found = found.map(|(place, record)| (record.bytes, records.get(place + 1..).unwrap_or_default()));
    found.filter_map(|(bytes, records)| Some((CodeVariant::variant(bytes).ok()?, records))).map(variant).collect()
}

/// Returns the parts of code that these records follow.
fn parts(code: &CodeVariant<'_>, records: &[bareflow_loader::records::Record<'_>]) -> CodeParts {
    let [symbols, traps] = [SYMBOLS, TRAPS].map(|kind| list_of(records, kind));
    let fixups = Fixups::new(code.fixups);
    CodeParts {
        segments: segments(&code.header),
        fixups: fixups.map(|offset| offset.map_or_else(|error| error.to_string(), place)).collect(),
        symbols: functions(symbols),
        traps: Traps::new(traps).map_while(Result::ok).count(),
        disassembly: disassemble(code.text, code.header.entry, symbols),
    }
}

/// Returns the record of a kind among `records` before the next variant.
fn list_of<'blob>(records: &[bareflow_loader::records::Record<'blob>], kind: u32) -> &'blob [u8] {
    let of_this = records.iter().take_while(|record| record.kind != VARIANT);
    of_this.into_iter().find(|record| record.kind == kind).map_or(&[], |record| record.bytes)
}

fn functions(list: &[u8]) -> Vec<Function> {
    let function = |symbol: bareflow_abi::symbols::Symbol<'_>| Function {
        offset: format!("{:#x}", symbol.offset),
        size: symbol.size,
        name: Printable(symbol.name.as_bytes()).to_string(),
    };
    Symbols::new(list).map_while(Result::ok).map(function).collect()
}

fn segments(header: &VariantHeader) -> Vec<Segment> {
    let segment = |name, offset: u64, size: u32, permission| Segment {
        name,
        offset: format!("{offset:#x}"),
        size: u64::from(size),
        permission,
    };
    vec![
        segment("text", 0, header.text_size, "read, execute"),
        segment("rodata", RODATA_OFFSET, header.rodata_size, "read"),
        segment("data", DATA_OFFSET, header.data_size, "read, write"),
        segment("bss", DATA_OFFSET + u64::from(header.data_size), header.bss_size, "read, write"),
    ]
}

/// Formats an offset from the image's base as a segment and an offset.
fn place(offset: u64) -> String {
    match offset {
        DATA_OFFSET.. => format!("data+{:#x}", offset - DATA_OFFSET),
        RODATA_OFFSET.. => format!("rodata+{:#x}", offset - RODATA_OFFSET),
        _ => format!("text+{offset:#x}"),
    }
}

fn records(raw: RawModule<'_>) -> Vec<Record> {
    let readable = Records::new(raw.records).flatten();
    let record = |record: bareflow_loader::records::Record<'_>| Record {
        kind: format!("{:#x}", record.kind & !SKIPPABLE),
        skippable: record.kind & SKIPPABLE != 0,
        length: record.bytes.len(),
        depends: if record.kind == DEPENDENCIES { depends(record.bytes) } else { Vec::new() },
    };
    readable.map(record).collect()
}

/// Returns the parameters that may be set.
fn parameters(raw: RawModule<'_>) -> Vec<DeclaredParameter> {
    let parameter = |found: Parameter<'_>| DeclaredParameter {
        name: found.name.to_owned(),
        kind: found.kind.name(),
        admitted: found.admitted().to_string(),
        default: found.default.to_string(),
        min: found.bounds.map(|[least, _]| least.to_string()),
        max: found.bounds.map(|[_, greatest]| greatest.to_string()),
        max_length: (found.kind == ParameterType::Text).then(|| found.size - 1),
        description: Printable(found.description.lines().map(str::trim).collect::<Vec<_>>().join(" ").as_bytes())
            .to_string(),
    };
    parameters_of(&raw).map(parameter).collect()
}

/// Formats a list of dependencies.
fn depends(list: &[u8]) -> Vec<String> {
    Dependencies::new(list).map(|needed| format!("{} {}", needed.name, VersionRange::of(&needed))).collect()
}

fn show(inspection: &Inspection) {
    say!("{}: {} bytes", inspection.file, inspection.blob_size);
    if inspection.header.is_empty() {
        say!("no blob of a module\n\nVerdict: {}", inspection.verdict);
        return;
    }
    say!("declares {}", inspection.declares);
    say!("\nHeader");
    for field in &inspection.header {
        say!("  {:>3}  {:<16} {}", field.offset, field.name, field.value);
    }
    show_segments(&inspection.code);
    show_about(&inspection.about);
    show_functions(&inspection.code);
    for Variant { cpu_level, entry, code } in &inspection.variants {
        say!("\nVariant for x86-64-v{cpu_level}, entry {entry}");
        show_segments(code);
        show_functions(code);
    }
    if let Some(Budget { time_us, stack_bytes: stack, heap_bytes: heap, .. }) = inspection.budget {
        let Budget {
            time_us: most_us,
            stack_bytes: most_stack,
            heap_bytes: most_heap,
            data_bytes: data,
            memory_bytes: memory,
        } = inspection.limits;
        say!("\nBudget: {time_us} us, stack {stack}, heap {heap} bytes");
        say!(
            "  limits: {most_us} us, stack {most_stack}, heap {most_heap}, data {data}, memory {memory} bytes, unless \
             --budget says otherwise"
        );
    }
    say!("\nVerdict: {}", inspection.verdict);
}

/// Prints what the records describe.
fn show_about(about: &About) {
    say!("\nRecords: {}", about.records.len());
    for Record { kind, skippable, length, depends } in &about.records {
        say!("  kind {kind}, {length} bytes{}", if *skippable { ", skippable" } else { "" });
        for needed in depends {
            say!("    calls {needed}");
        }
    }
    if !about.parameters.is_empty() {
        say!("\nParameters: {}", about.parameters.len());
    }
    for DeclaredParameter { name, admitted, default, description, .. } in &about.parameters {
        say!("  {name}: {admitted}; {default} if not set");
        if !description.is_empty() {
            say!("    {description}");
        }
    }
    if !about.imports.is_empty() || !about.exports.is_empty() {
        say!("\nInterfaces: {}", about.imports.len() + about.exports.len());
        listing::show(&about.imports, &about.exports);
    }
    events::show(&about.events);
    memory::show(about.memory.as_ref());
}

fn show_segments(CodeParts { segments, fixups, .. }: &CodeParts) {
    say!("\nSegments");
    for Segment { name, offset, size, permission } in segments {
        say!("  {name:<7} {offset:>10} {size:>10} bytes  {permission}");
    }
    say!("\nFix-ups: {}", fixups.len());
    for fixup in fixups {
        say!("  {fixup}");
    }
}

fn show_functions(CodeParts { symbols, traps, disassembly, .. }: &CodeParts) {
    say!("\nSymbols: {}", symbols.len());
    for Function { offset, size, name } in symbols {
        say!("  {offset:>8} {size:>8} bytes  {name}");
    }
    if *traps > 0 {
        say!("\nTrap sites: {traps}");
    }
    say!("\nDisassembly");
    for line in disassembly {
        if let Some(function) = &line.function {
            say!("{function}:");
        }
        say!("  {:>8}  {:<24}  {}", line.offset, line.bytes, line.instruction);
    }
}
