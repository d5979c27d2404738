//! The details of a load that was refused for an interface: who exports it, and in what the two sides differ.

use core::fmt;

use bareflow_abi::interface::bindings::{Entries, Entry};
use bareflow_abi::record::SIGNATURES;

use super::provider::Export;
use super::signatures::{changed_type, first_difference, method_lines, name_in};
use crate::error::{ImportError, LoadError};
use crate::format::raw::RawModule;
use crate::format::records::{bindings, first_record};
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::interfaces::LOADER_NAME;
use crate::module::interfaces::{LoaderInterface, ProviderId};
use crate::name::Name;
use crate::platform::Platform;
use crate::printable::Printable;

/// The details of a load that was refused for an interface, on one line.
pub struct ImportDetails<'all, P: Platform> {
    manager: &'all ModuleManager<P>,
    refused: Refused<'all>,
    /// The signatures of the module that was refused.
    signatures: &'all [u8],
}

/// The two sides that do not fit.
enum Refused<'all> {
    /// An import that was not bound, and the provider that it asks for by name, if it is not there.
    User(Entry<'all>, Option<Name>),
    /// The exports of a new version, a user of the old one, and the interface that it uses.
    Provider(Entries<'all>, ModuleId, Name),
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the details of `error`, for which a load of `blob` was refused: the interface, who exports it, and in what
    /// their methods differ. `None` if it is another error, or says all there is to say.
    #[must_use]
    pub fn explain_import<'all>(&'all self, blob: &'all [u8], error: &LoadError) -> Option<ImportDetails<'all, P>> {
        let raw = RawModule::parse(blob).ok()?;
        let bindings = bindings(raw.records);
        let refused = match error {
            LoadError::Import { error: ImportError::NoProvider { .. }, .. } => return None,
            LoadError::Import { import: name, error } => {
                let wanted = if let ImportError::NotLoaded { provider } = error { Some(*provider) } else { None };
                Refused::User(bindings.imports().find(|import| import.name == name.as_str())?, wanted)
            }
            LoadError::StillUsed { by, interface } => {
                // Several versions of the user may be loaded.
                let uses = |id: &ModuleId| {
                    self.get(*id).is_some_and(|user| {
                        let mut imports = user.metadata.bindings().imports();
                        user.name == *by && imports.any(|import| import.interface == interface.as_str())
                    })
                };
                let replaced = self.active(&Name::from_field(*raw.name())?)?;
                Refused::Provider(bindings, self.users(replaced).find(uses)?, *interface)
            }
            _ => return None,
        };
        Some(ImportDetails { manager: self, refused, signatures: first_record(raw.records, SIGNATURES) })
    }

    /// Returns whether anything that is loaded by now exports the interface of the import `name` of `blob`, in whichever
    /// version.
    #[must_use]
    pub fn is_exported(&self, blob: &[u8], name: &Name) -> bool {
        let Ok(raw) = RawModule::parse(blob) else { return false };
        let import = bindings(raw.records).imports().find(|import| import.name == name.as_str());
        import.is_some_and(|import| self.exporters(import.interface).next().is_some())
    }

    /// Iterates over all that export the interface, in whichever version.
    fn exporters(&self, interface: &str) -> impl Iterator<Item = ProviderId> {
        let is_published = |id: &ModuleId| self.get(*id).is_some_and(|module| module.published.get());
        let modules = self.ids().filter(is_published).map(ProviderId::Module);
        let embedder = self.embedder().all().map(|(number, _)| ProviderId::Embedder(number));
        let exports = move |provider: &ProviderId| self.with_export(*provider, interface, |_| ()).is_some();
        let loader = LoaderInterface::ALL.iter().copied().map(ProviderId::Loader);
        modules.chain(embedder).chain(loader).filter(exports)
    }
}

impl<P: Platform> ImportDetails<'_, P> {
    /// Shows one provider: its name, and the first thing that makes it unfit.
    fn show(&self, out: &mut fmt::Formatter<'_>, import: &Entry<'_>, provider: ProviderId) -> fmt::Result {
        let show = |out: &mut fmt::Formatter<'_>, signatures: &[u8]| {
            let shown = self.manager.with_export(provider, import.interface, |export| {
                show_export(out, &export, signatures, import, self.signatures)
            });
            shown.unwrap_or(Ok(()))
        };
        match provider {
            ProviderId::Module(id) => self.manager.get(id).map_or(Ok(()), |module| {
                write!(out, "{} {} ", module.name, module.version)?;
                show(out, module.metadata.signatures())
            }),
            ProviderId::Embedder(number) => self.manager.embedder().get(number).map_or(Ok(()), |found| {
                write!(out, "{} ", found.name)?;
                show(out, found.exported.signatures.as_bytes())
            }),
            ProviderId::Loader(interface) => {
                write!(out, "{LOADER_NAME} ")?;
                show(out, interface.exported().signatures.as_bytes())
            }
        }
    }
}

/// Shows an export, whose signatures are `theirs`, and the first thing in it that does not fit an import, whose signatures
/// are `ours`.
fn show_export(
    out: &mut fmt::Formatter<'_>,
    export: &Export<'_>,
    theirs: &[u8],
    import: &Entry<'_>,
    ours: &[u8],
) -> fmt::Result {
    let (interface, (major, minor)) = (import.interface, export.version());
    write!(out, "exports {interface} {major}.{minor}")?;
    let Some(index) = import.methods().position(|method| export.function(&method).is_none()) else { return Ok(()) };
    let Some(method) = method_lines(ours, interface).nth(index) else {
        return write!(out, " without method {}, counted from 1", index + 1);
    };
    let (name, needed) = (name_in(method), Printable(method.as_bytes()));
    let Some(other) = method_lines(theirs, interface).find(|line| name_in(line) == name) else {
        let stripped = method_lines(theirs, interface).next().is_none();
        let or = if stripped { ", or with other types: its signatures were stripped" } else { "" };
        return write!(out, " without the method `{needed}`{or}");
    };
    write!(out, " with another method {}", Printable(name.as_bytes()))?;
    match first_difference(method, other).or_else(|| changed_type(ours, theirs, interface)) {
        Some((needed, found)) => {
            write!(out, ": {} there, {} needed", Printable(found.as_bytes()), Printable(needed.as_bytes()))
        }
        None => Ok(()),
    }
}

impl<P: Platform> fmt::Display for ImportDetails<'_, P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refused {
            Refused::User(import, wanted) => {
                let Entry { interface, version: (major, minor), provider, .. } = import;
                write!(out, "{interface} {major}.{minor} is needed")?;
                // Whoever loads it may have asked for another one.
                let is_asked = |name: &Name| provider.split('@').next() == Some(name.as_str());
                if wanted.as_ref().is_some_and(is_asked) {
                    write!(out, " of {provider}")?;
                }
                let mut separator = "; ";
                self.manager.exporters(interface).try_for_each(|provider| {
                    out.write_str(core::mem::replace(&mut separator, ", "))?;
                    self.show(out, import, provider)
                })?;
                if separator == "; " { out.write_str("; nothing exports it") } else { Ok(()) }
            }
            Refused::Provider(exports, user, interface) => {
                let Some(user) = self.manager.get(*user) else { return Ok(()) };
                let mut imports = user.metadata.bindings().imports();
                let Some(import) = imports.find(|import| import.interface == interface.as_str()) else { return Ok(()) };
                let (major, minor) = import.version;
                write!(out, "{interface} {major}.{minor} is needed; the new one ")?;
                match exports.exports().find(|(_, export)| export.interface == interface.as_str()) {
                    Some((first, export)) => {
                        let export = Export::Module(first, export);
                        show_export(out, &export, self.signatures, &import, user.metadata.signatures())
                    }
                    None => out.write_str("does not export it"),
                }
            }
        }
    }
}
