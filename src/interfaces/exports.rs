//! The imports and exports of a module: its bindings together with its signatures.

use std::fmt;

use anyhow::{Context, Result, ensure};
use bareflow_abi::interface::bindings::{Entries, Entry, Method, Role};
use bareflow_abi::record::{BINDINGS, SIGNATURES};
use bareflow_loader::records::first_record;
use bareflow_loader::{Printable, RawModule};

use super::signature::Signature;
use super::types::Types;

/// An interface that a module imports or exports, or its plain functions.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    /// The import's own name; `None` for an export.
    pub import: Option<String>,
    /// The interface's name; empty for plain functions.
    pub name: String,
    /// The version: major, minor.
    pub version: (u16, u16),
    /// The provider that an import asks for; empty if any will do.
    pub wanted: String,
    /// The methods.
    pub methods: Vec<Method>,
    /// The lines of the methods; empty if they were stripped.
    pub signatures: Vec<String>,
    /// The lines of the types.
    pub types: Vec<String>,
}

/// Shows name and version: `files 1.0`.
impl fmt::Display for Interface {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&*self.name, self.version) {
            ("", _) => out.write_str("functions"),
            (name, (major, minor)) => write!(out, "{name} {major}.{minor}"),
        }
    }
}

impl Interface {
    fn read(entry: &Entry<'_>, signatures: &[u8]) -> Interface {
        let import = (entry.role == Role::Import).then(|| entry.name.to_owned());
        let (name, version) = (entry.interface.to_owned(), entry.version);
        let methods: Vec<_> = entry.methods().collect();
        let mut interface = Interface {
            import,
            name,
            version,
            wanted: entry.provider.to_owned(),
            methods,
            signatures: Vec::new(),
            types: Vec::new(),
        };
        let begin = match entry.interface {
            "" => "functions".to_owned(),
            _ => format!("interface {interface}"),
        };
        // The text may be any bytes.
        let lines: Vec<_> = signatures.split(|&byte| byte == b'\n').map(|line| Printable(line).to_string()).collect();
        let lines = lines.into_iter().skip_while(|line| *line != begin).skip(1);
        for line in lines.take_while(|line| !line.starts_with("interface ") && line != "functions") {
            let list = if line.starts_with("fn ") { &mut interface.signatures } else { &mut interface.types };
            list.extend((!line.is_empty()).then_some(line));
        }
        interface
    }

    /// Returns the name of the function with this index, as far as it is known.
    pub fn method_name(&self, index: usize) -> Option<&str> {
        self.signatures.get(index)?.strip_prefix("fn ")?.split('(').next()
    }

    /// Returns the signature of the method with this index.
    ///
    /// # Errors
    /// It was stripped, or it can't be understood.
    pub fn signature(&self, index: usize) -> Result<Signature> {
        let mut types = Types::default();
        for line in &self.types {
            types.define(line).with_context(|| format!("`{line}` of {self} can't be understood"))?;
        }
        let line = self.signatures.get(index);
        let line =
            line.with_context(|| format!("the signatures of {self} were stripped; build it without `--strip`"))?;
        let wrong = || format!("`{line}` of {self} can't be understood");
        let signature = Signature::read(line, &types).with_context(wrong)?;
        let shape = self.methods.get(index).map(|method| method.shape);
        ensure!(shape == Some(signature.shape()), "`{line}` is not the signature of what {self} has; build it anew");
        Ok(signature)
    }
}

/// Returns the imports and exports in a module's records, in order.
pub(crate) fn read(bindings: &[u8], signatures: &[u8]) -> Vec<Interface> {
    Entries::new(bindings).map(|entry| Interface::read(&entry, signatures)).collect()
}

/// Returns the imports and exports of a blob, in order.
pub(crate) fn of_blob(raw: RawModule<'_>) -> Vec<Interface> {
    read(first_record(raw.records, BINDINGS), first_record(raw.records, SIGNATURES))
}

/// Returns the exported interface and the index of the function that `path` names: `function` or `interface.function`.
///
/// `None` if there is none, or several.
pub(crate) fn find<'all>(all: &'all [Interface], path: &str) -> Option<(&'all Interface, usize)> {
    let (interface, name) = path.split_once('.').map_or((None, path), |(interface, name)| (Some(interface), name));
    let exports =
        all.iter().filter(|found| found.import.is_none() && interface.is_none_or(|wanted| wanted == found.name));
    let mut found = exports.filter_map(|export| {
        let index = (0..export.methods.len()).find(|&index| export.method_name(index) == Some(name))?;
        Some((export, index))
    });
    found.next().filter(|_| found.next().is_none())
}
