//! Blobs of modules in text.

use bareflow_abi::header::{Header, MAGIC};
use bareflow_portable::description::{name_field, push_record};
use bareflow_translator::{Bounds, Optimization, Options, translate};

/// The options of all blobs.
pub const OPTIONS: Options = Options {
    version: (1, 0, 0),
    optimization: Optimization::Speed,
    cpu_level: 1,
    bounds: Bounds::Checked,
    spectre_guard: true,
    maximum_pages: 16,
};

/// Compiles a module that does not describe itself.
#[allow(dead_code, reason = "not each test needs each")]
pub fn blob(text: &str) -> Vec<u8> {
    translate(&OPTIONS, "test", &wat::parse_str(text).unwrap()).unwrap()
}

/// Compiles a module that describes itself: name, records and services.
#[allow(dead_code, reason = "not each test needs each")]
pub fn module(name: &str, parts: &str, records: &[(u32, &[u8])], services: u32) -> Vec<u8> {
    let header =
        Header { magic: MAGIC, name: name_field(name).unwrap(), version_major: 1, services, ..Header::default() };
    let mut section = header.to_bytes().to_vec();
    for (kind, bytes) in records {
        push_record(&mut section, *kind, bytes);
    }
    let section: String = section.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let text = format!("(module {parts} (@custom \"bareflow.module\" \"{section}\"))");
    translate(&OPTIONS, "unused", &wat::parse_str(text).unwrap()).unwrap()
}
