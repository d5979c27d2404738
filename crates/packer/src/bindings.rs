//! Imports and exports: their providers, and what they need of a loader.

use std::collections::BTreeMap;

use bareflow_abi::entry::Descriptor;
use bareflow_abi::events::{Events, Kind};
use bareflow_abi::fingerprint::FINGERPRINTS;
use bareflow_abi::header::{FLAG_NO_RUN, NAME_SIZE, SERVICE_INVOKE, is_name_byte};
use bareflow_abi::interface::bindings::{Entries, MAX_SELECTOR};

use crate::error::PackError;

/// The minor version of the ABI before interfaces, and the first ones with interfaces, with events and with devices.
const PLAIN_MINOR: u16 = 2;
const INTERFACES_MINOR: u16 = 3;
const EVENTS_MINOR: u16 = 4;
const DEVICES_MINOR: u16 = 6;

/// The newest of the parts that a module uses besides interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uses {
    /// None.
    Nothing,
    /// Events.
    Events,
    /// Devices, or interrupts of some.
    Devices,
}

impl Uses {
    /// Returns what a module with these records uses.
    pub(crate) fn of(events: &[u8], devices: &[u8]) -> Uses {
        let has_interrupts = Events::new(events).any(|event| event.kind == Kind::Interrupt);
        match (has_interrupts || !devices.is_empty(), events.is_empty()) {
            (true, _) => Uses::Devices,
            (false, false) => Uses::Events,
            (false, true) => Uses::Nothing,
        }
    }
}

/// Returns bindings with the providers that the settings name for imports.
pub(crate) fn bind(bindings: &[u8], providers: &BTreeMap<String, String>) -> Result<Vec<u8>, PackError> {
    let imports = || Entries::new(bindings).imports().map(|import| import.name);
    for (name, provider) in providers {
        if !imports().any(|import| import == name) {
            return Err(PackError::UnknownImport {
                found: name.clone(),
                imports: imports().map(str::to_owned).collect(),
            });
        }
        if !is_selector(provider) {
            return Err(PackError::Provider { import: name.clone(), found: provider.clone() });
        }
    }
    let mut bound = Vec::new();
    for entry in Entries::new(bindings) {
        let provider = providers.get(entry.name).map_or(entry.provider, String::as_str);
        entry.encode_with(provider, &mut |part| bound.extend_from_slice(part));
    }
    Ok(bound)
}

/// Returns whether a text is a module's name, or one with a requirement: `disk@^1`.
fn is_selector(text: &str) -> bool {
    let (name, requirement) = text.split_once('@').map_or((text, None), |(name, behind)| (name, Some(behind)));
    text.len() <= MAX_SELECTOR
        && (1..NAME_SIZE).contains(&name.len())
        && name.bytes().all(is_name_byte)
        && requirement.is_none_or(|requirement| !requirement.trim().is_empty())
}

/// Checks that a module has a function to call: its `run`, or one that it exports.
pub(crate) fn check_callable(flags: u32, bindings: &[u8]) -> Result<(), PackError> {
    let has_run = flags & FLAG_NO_RUN == 0;
    if has_run || Entries::new(bindings).function_count() > 0 { Ok(()) } else { Err(PackError::NothingToCall) }
}

/// Returns the services of a module with these bindings.
pub(crate) fn services(bindings: &[u8]) -> u32 {
    if Entries::new(bindings).imports().next().is_some() { SERVICE_INVOKE } else { 0 }
}

/// Returns the lowest minor version that a module needs, and its fingerprint.
///
/// A module without interfaces or events runs with loaders that do not know them, whatever it was built against.
pub(crate) fn abi(descriptor: &Descriptor, bindings: &[u8], uses: Uses, services: u32) -> (u16, u64) {
    let has_interfaces = !bindings.is_empty() || descriptor.flags & FLAG_NO_RUN != 0 || services & SERVICE_INVOKE != 0;
    let needed = match (uses, has_interfaces) {
        (Uses::Devices, _) => DEVICES_MINOR,
        (Uses::Events, _) => EVENTS_MINOR,
        (Uses::Nothing, true) => INTERFACES_MINOR,
        (Uses::Nothing, false) => PLAIN_MINOR,
    };
    match FINGERPRINTS.get(usize::from(needed)) {
        Some(&fingerprint) if descriptor.abi_minor > needed => (needed, fingerprint),
        _ => (descriptor.abi_minor, descriptor.abi_fingerprint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bareflow_abi::interface::bindings::{Method, NewEntry, Role, encode, encoded_size};
    use bareflow_abi::interface::{ArgumentKind, Shape};

    const METHODS: &[Method] = &[Method { fingerprint: 7, shape: Shape::new(true, &[ArgumentKind::Text]) }];
    const SOURCE: NewEntry =
        NewEntry { role: Role::Import, name: "source", interface: "files", version: (1, 0), methods: METHODS };
    const TARGET: NewEntry = NewEntry { name: "target", ..SOURCE };
    const EXPORT: NewEntry = NewEntry { role: Role::Export, name: "", ..SOURCE };
    const ALL: &[NewEntry] = &[SOURCE, TARGET, EXPORT];
    const BYTES: [u8; encoded_size(ALL)] = encode(ALL);

    fn providers(name: &str, provider: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), provider.to_owned())])
    }

    #[test]
    fn names_the_providers_of_imports() {
        assert_eq!(bind(&BYTES, &BTreeMap::new()), Ok(BYTES.to_vec()));
        let bound = bind(&BYTES, &providers("target", "disk@^1")).unwrap();
        assert_eq!(Entries::check(&bound), Ok(()));
        let found: Vec<_> = Entries::new(&bound).map(|entry| entry.provider).collect();
        assert_eq!(found, ["", "disk@^1", ""]);
        assert_eq!(bound.len(), BYTES.len() + "disk@^1".len());
    }

    #[test]
    fn rejects_providers_of_what_is_not_imported() {
        let error = bind(&BYTES, &providers("sources", "disk")).unwrap_err();
        let imports = vec!["source".to_owned(), "target".to_owned()];
        assert_eq!(error, PackError::UnknownImport { found: "sources".to_owned(), imports });
        assert_eq!(
            error.to_string(),
            "bind: no import \"sources\", expected one of source, target; change package.metadata.bareflow.bind in the \
             module's Cargo.toml"
        );
        let error = bind(&[], &providers("sources", "disk")).unwrap_err();
        assert!(error.to_string().contains("expected none: the module imports nothing"), "{error}");
    }

    #[test]
    fn rejects_selectors_of_no_module() {
        let long = format!("disk@{}", "1".repeat(MAX_SELECTOR));
        for found in ["", "Disk", "@^1", "disk@", "disk@ ", "a-name-of-thirty-two-bytes-is-too", &long] {
            let error = bind(&BYTES, &providers("source", found)).unwrap_err();
            assert_eq!(error, PackError::Provider { import: "source".to_owned(), found: found.to_owned() });
        }
    }

    #[test]
    fn stamps_the_lowest_version() {
        let [.., plain, interfaces, events, _, newest] = FINGERPRINTS;
        let descriptor = Descriptor { abi_fingerprint: newest, abi_major: 1, abi_minor: 6, flags: 0 };
        assert_eq!(abi(&descriptor, &[], Uses::Nothing, 1), (2, plain));
        assert_eq!(abi(&descriptor, &BYTES, Uses::Nothing, 0), (3, interfaces));
        assert_eq!(abi(&descriptor, &[], Uses::Nothing, SERVICE_INVOKE), (3, interfaces));
        assert_eq!(abi(&Descriptor { flags: FLAG_NO_RUN, ..descriptor }, &[], Uses::Nothing, 0), (3, interfaces));
        assert_eq!(abi(&descriptor, &BYTES, Uses::Events, 0), (4, events));
        assert_eq!(abi(&descriptor, &[], Uses::Devices, 0), (6, newest));
        assert_eq!(abi(&Descriptor { abi_minor: 1, abi_fingerprint: 5, ..descriptor }, &[], Uses::Nothing, 0), (1, 5));
        assert_eq!((services(&BYTES), services(&[])), (SERVICE_INVOKE, 0));
    }
}
