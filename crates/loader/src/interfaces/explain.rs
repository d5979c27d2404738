//! The details of an import that was not bound: who exports its interface, and in what they differ.

use core::fmt;

use bareflow_abi::interface::bindings::{Entries, Entry};
use bareflow_abi::record::{BINDINGS, SIGNATURES};

use super::signatures::{first_difference, method_lines, name_in};
use crate::error::LoadError;
use crate::format::raw::RawModule;
use crate::format::records::first_record;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::interfaces::ProviderId;
use crate::name::Name;
use crate::platform::Platform;
use crate::printable::Printable;

/// The details of an import that was not bound, on one line.
pub struct ImportDetails<'all, P: Platform> {
    manager: &'all ModuleManager<P>,
    import: Entry<'all>,
    signatures: &'all [u8],
}

impl<P: Platform> ModuleManager<P> {
    /// Returns the details of `error`, for which a load of `blob` was refused: the interface, who exports it, and in what
    /// their methods differ. `None` if it is another error.
    #[must_use]
    pub fn explain_import<'all>(&'all self, blob: &'all [u8], error: &LoadError) -> Option<ImportDetails<'all, P>> {
        let LoadError::Import { import: name, .. } = error else { return None };
        let raw = RawModule::parse(blob).ok()?;
        let mut imports = Entries::new(first_record(raw.records, BINDINGS)).imports();
        let import = imports.find(|import| import.name == name.as_str())?;
        Some(ImportDetails { manager: self, import, signatures: first_record(raw.records, SIGNATURES) })
    }
}

impl<P: Platform> ImportDetails<'_, P> {
    /// Returns whether anything that is loaded exports the interface.
    #[must_use]
    pub fn is_exported(&self) -> bool {
        self.exporters().next().is_some()
    }

    /// Iterates over all that export the interface, in whichever version.
    fn exporters(&self) -> impl Iterator<Item = ProviderId> {
        let is_published = |id: &ModuleId| self.manager.get(*id).is_some_and(|module| module.published.get());
        let modules = self.manager.ids().filter(is_published).map(ProviderId::Module);
        let embedder = self.manager.embedder().all().map(|(number, _)| ProviderId::Embedder(number));
        let exports =
            |provider: &ProviderId| self.manager.with_export(*provider, self.import.interface, |_| ()).is_some();
        modules.chain(embedder).filter(exports)
    }

    /// Shows one provider: its name, and the first thing that makes it unfit.
    fn show(&self, out: &mut fmt::Formatter<'_>, name: Name, provider: ProviderId, signatures: &[u8]) -> fmt::Result {
        let import = &self.import;
        let shown = self.manager.with_export(provider, import.interface, |export| {
            let (major, minor) = export.version();
            write!(out, "{name} exports {} {major}.{minor}", import.interface)?;
            let Some(index) = import.methods().position(|method| export.function(&method).is_none()) else {
                return Ok(());
            };
            let Some(ours) = method_lines(self.signatures, import.interface).nth(index) else {
                return write!(out, " without method {index}");
            };
            let theirs = method_lines(signatures, import.interface).find(|line| name_in(line) == name_in(ours));
            match theirs.and_then(|theirs| first_difference(ours, theirs)) {
                Some((ours_part, theirs_part)) => write!(
                    out,
                    " with another method {}: {} there, {} needed",
                    Printable(name_in(ours).as_bytes()),
                    Printable(theirs_part.as_bytes()),
                    Printable(ours_part.as_bytes())
                ),
                None => write!(out, " without the method `{}`", Printable(ours.as_bytes())),
            }
        });
        shown.unwrap_or(Ok(()))
    }
}

impl<P: Platform> fmt::Display for ImportDetails<'_, P> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { interface, version: (major, minor), .. } = self.import;
        write!(out, "{interface} {major}.{minor} is needed")?;
        let mut separator = "; ";
        self.exporters().try_for_each(|provider| {
            out.write_str(core::mem::replace(&mut separator, ", "))?;
            match provider {
                ProviderId::Module(id) => match self.manager.get(id) {
                    Some(module) => self.show(out, module.name, provider, module.metadata.signatures()),
                    None => Ok(()),
                },
                ProviderId::Embedder(number) => match self.manager.embedder.get(number) {
                    Some(found) => self.show(out, found.name, provider, &[]),
                    None => Ok(()),
                },
            }
        })?;
        if separator == "; " { out.write_str("; nothing exports it") } else { Ok(()) }
    }
}
