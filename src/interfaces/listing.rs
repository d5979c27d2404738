//! The imports and exports of modules as text and JSON.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use bareflow_loader::{Printable, RawModule, Version};
use bareflow_protocol::control::ProviderName;
use serde::Serialize;

use super::SCHEMA;
use super::exports::{self, Interface};
use crate::input_files::{read_native_blob, write_json};
use crate::output::report_refused;
use crate::{Exit, say};

/// An interface that a module uses.
#[derive(Debug, Serialize)]
pub(crate) struct Import {
    /// The import's own name.
    name: String,
    /// The interface's name.
    interface: String,
    /// The interface's version: `major.minor`.
    version: String,
    /// The provider that it asks for, a selector; empty if any will do.
    wanted: String,
    /// The provider that it is bound to; none in a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<Bound>,
    #[serde(flatten)]
    signatures: Signatures,
}

/// An interface that a module provides, or its plain functions.
#[derive(Debug, Serialize)]
pub(crate) struct Export {
    /// The interface's name; empty for plain functions.
    interface: String,
    /// The interface's version: `major.minor`.
    version: String,
    #[serde(flatten)]
    signatures: Signatures,
}

/// The methods of an interface, as Rust.
#[derive(Debug, Serialize)]
struct Signatures {
    /// The number of methods.
    method_count: usize,
    /// The methods; empty if they were stripped.
    methods: Vec<String>,
    /// The types that they name.
    types: Vec<String>,
}

/// The provider of an import.
#[derive(Clone, Debug, Serialize)]
struct Bound {
    name: String,
    /// The module's version; none if the kernel itself provides it.
    version: Option<String>,
}

/// A module with its imports and exports.
#[derive(Debug, Serialize)]
pub(crate) struct Module {
    name: String,
    /// The module's version; none if the kernel itself provides the interface.
    version: Option<String>,
    /// The module's generation; none for a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u32>,
    imports: Vec<Import>,
    exports: Vec<Export>,
}

/// The interfaces of modules.
#[derive(Debug, Serialize)]
pub(crate) struct Listing {
    schema: u32,
    modules: Vec<Module>,
}

impl Module {
    /// Creates a module; `providers` are those of its imports, if they are known.
    pub fn new(
        name: String,
        version: String,
        generation: Option<u32>,
        all: &[Interface],
        providers: &[Option<ProviderName>],
    ) -> Module {
        let (imports, exports) = split(all, providers);
        let version = Some(version).filter(|version| !version.is_empty());
        let generation = generation.filter(|_| version.is_some());
        Module { name, version, generation, imports, exports }
    }
}

/// Returns the imports and exports among `all`; `providers` are those of the imports, if they are known.
pub(crate) fn split(all: &[Interface], providers: &[Option<ProviderName>]) -> (Vec<Import>, Vec<Export>) {
    let (mut imports, mut exports, mut providers) = (Vec::new(), Vec::new(), providers.iter());
    for interface in all {
        let (major, minor) = interface.version;
        let version = format!("{major}.{minor}");
        let signatures = Signatures {
            method_count: interface.methods.len(),
            methods: interface.signatures.clone(),
            types: interface.types.clone(),
        };
        let bound =
            |ProviderName { name, version }: &ProviderName| Bound { name: name.clone(), version: version.clone() };
        match &interface.import {
            Some(name) => imports.push(Import {
                name: name.clone(),
                interface: interface.name.clone(),
                version,
                wanted: Printable(interface.wanted.as_bytes()).to_string(),
                provider: providers.next().and_then(|provider| provider.as_ref().map(bound)),
                signatures,
            }),
            None => exports.push(Export { interface: interface.name.clone(), version, signatures }),
        }
    }
    (imports, exports)
}

/// Shows the import on a line, without its signatures: `source: files 1.0, from disk 1.0.0`.
impl fmt::Display for Import {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Import { name, interface, version, wanted, provider, .. } = self;
        write!(out, "{name}: {interface} {version}, from ")?;
        match (provider, &**wanted) {
            (Some(Bound { name, version: Some(version) }), _) => write!(out, "{name} {version}"),
            (Some(Bound { name, version: None }), _) => write!(out, "the kernel's {name}"),
            (None, "") => out.write_str("any provider"),
            (None, wanted) => out.write_str(wanted),
        }
    }
}

/// Shows the export on a line, without its signatures.
impl fmt::Display for Export {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.interface {
            "" => out.write_str("functions"),
            name => write!(out, "{name} {}", self.version),
        }
    }
}

/// Shows imports and exports with their signatures.
pub(crate) fn show(imports: &[Import], exports: &[Export]) {
    for import in imports {
        say!("  imports {import}");
        import.signatures.show();
    }
    for export in exports {
        say!("  exports {export}");
        export.signatures.show();
    }
}

impl Signatures {
    fn show(&self) {
        if self.methods.is_empty() {
            say!("    {} functions without signatures, which were stripped", self.method_count);
        }
        self.methods.iter().chain(&self.types).for_each(|line| say!("    {line}"));
    }
}

impl Listing {
    /// Creates a listing.
    pub const fn new(modules: Vec<Module>) -> Listing {
        Listing { schema: SCHEMA, modules }
    }

    /// Shows the listing, or `nothing` if it is empty, and writes it as JSON, if there is a path.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn finish(&self, nothing: &str, json: Option<&Path>) -> Result<()> {
        if self.modules.is_empty() {
            say!("{nothing}");
        }
        for module in &self.modules {
            let load = module.generation.map(|generation| format!(" (load {generation})")).unwrap_or_default();
            match &module.version {
                Some(version) => say!("{} {version}{load}", module.name),
                None => say!("the kernel's {}", module.name),
            }
            show(&module.imports, &module.exports);
        }
        json.map_or(Ok(()), |path| write_json(path, self))
    }
}

/// Lists the imports and exports of files.
///
/// # Errors
/// When the JSON can't be written.
pub(crate) fn of_files(files: &[PathBuf], json: Option<&Path>) -> Result<Exit> {
    let (mut modules, mut exit) = (Vec::new(), Exit::Passed);
    for file in files {
        match read(file) {
            Ok((name, version, interfaces)) => modules.push(Module::new(name, version, None, &interfaces, &[])),
            Err(error) => {
                report_refused(&file.display().to_string(), &error);
                exit = Exit::Failed;
            }
        }
    }
    modules.retain(|module| !module.imports.is_empty() || !module.exports.is_empty());
    Listing::new(modules).finish("none of these modules has imports or exports", json)?;
    Ok(exit)
}

/// Returns the name, the version and the interfaces of a blob.
pub(super) fn read(file: &Path) -> Result<(String, String, Vec<Interface>), String> {
    let blob = read_native_blob(file)?;
    let raw = RawModule::parse(&blob).map_err(|error| error.to_string())?;
    let header = raw.header();
    let name = Printable(header.name_bytes()).to_string();
    Ok((name, Version::of(&header).to_string(), exports::of_blob(raw)))
}
