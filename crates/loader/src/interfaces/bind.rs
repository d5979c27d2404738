//! Binding: the search for the provider of each import when a module is loaded.

#[cfg(feature = "parameters")]
use bareflow_abi::interface::bindings::MAX_SELECTOR;
use bareflow_abi::interface::bindings::{Entry, Method};

use super::provider::Export;
use crate::error::{ImportError, LoadError};
use crate::manager::ModuleManager;
use crate::module::interfaces::LOADER_NAME;
use crate::module::interfaces::{BoundMethod, Interfaces, LoaderInterface, ProviderId};
use crate::module::{Module, ModuleId};
#[cfg(feature = "semver")]
use crate::name::requirement::Requirement;
use crate::name::{Name, Version};
use crate::platform::Platform;

/// The providers that were found for an import.
#[derive(Default)]
struct Found {
    /// The best one so far.
    best: Option<(Name, ProviderId, Rank)>,
    /// Whether there are others of other names.
    several: bool,
    /// The version that one exports which does not serve.
    unfit: Option<(u16, u16)>,
    /// Whether there is a module, or one of the embedder's, that the import admits by name and version.
    admitted: bool,
}

/// The rank among providers of one name: the active version comes first, then the highest.
type Rank = (bool, Version);

impl Found {
    fn add(&mut self, name: Name, provider: ProviderId, rank: Rank) {
        match &self.best {
            Some((other, ..)) if *other != name => self.several = true,
            Some((_, _, best)) if *best >= rank => {}
            _ => self.best = Some((name, provider, rank)),
        }
    }
}

impl<P: Platform> ModuleManager<P> {
    /// Binds the imports of a module that is being loaded. The module `replaced`, which it will replace, is no provider.
    ///
    /// # Errors
    /// [`LoadError::Import`], for the first import that has no provider.
    #[cold]
    #[inline(never)]
    pub(crate) fn bind_imports(&self, module: &Module<P>, replaced: Option<ModuleId>) -> Result<(), LoadError> {
        let Some(interfaces) = module.metadata.interfaces() else { return Ok(()) };
        for (number, entry) in module.metadata.bindings().imports().enumerate() {
            let bound = self
                .find_provider(&entry, replaced)
                .and_then(|provider| self.bind_to(interfaces, number, &entry, provider));
            // The names in a valid record are well-formed.
            if let (Err(error), Some(import)) = (bound, Name::new(entry.name)) {
                return Err(LoadError::Import { import, error });
            }
        }
        Ok(())
    }

    /// Binds an import to a provider, method by method.
    pub(super) fn bind_to(
        &self,
        interfaces: &Interfaces<P::Alloc>,
        number: usize,
        entry: &Entry<'_>,
        provider: ProviderId,
    ) -> Result<(), ImportError> {
        let bound = self.with_export(provider, entry.interface, |export| {
            check_export(&export, entry.version, entry.methods())?;
            for (index, (bound, method)) in interfaces.methods_of(number).iter().zip(entry.methods()).enumerate() {
                let function = export
                    .function(&method)
                    .ok_or(ImportError::Method { number: u16::try_from(index).unwrap_or(u16::MAX) })?;
                bound.set(BoundMethod { function, shape: method.shape });
            }
            Ok(())
        });
        let missing = || no_provider(entry.interface, entry.version);
        bound.unwrap_or_else(|| Err(missing()))?;
        let import = interfaces.imports.get(number).ok_or_else(missing)?;
        import.provider.set(Some(provider));
        import.restarts.set(self.restarts_of(provider));
        Ok(())
    }

    /// Returns the number of restarts of a provider so far, or of those that took its place.
    pub(super) fn restarts_of(&self, provider: ProviderId) -> u32 {
        match provider {
            ProviderId::Module(id) => self.get(id).map_or(0, |module| module.faults.restarts.get()),
            ProviderId::Embedder(number) => self.embedder.get(number).map_or(0, |found| found.replacement_count()),
            ProviderId::Loader(_) => 0,
        }
    }

    /// Returns the provider of an import.
    pub(crate) fn find_provider(
        &self,
        import: &Entry<'_>,
        replaced: Option<ModuleId>,
    ) -> Result<ProviderId, ImportError> {
        let wanted = Selector::parse(import.provider).ok_or(ImportError::Selector)?;
        let mut found = Found::default();
        for id in self.ids().filter(|id| Some(*id) != replaced) {
            let Some(module) = self.get(id).filter(|module| module.published.get()) else { continue };
            if wanted.admits(&module.name, Some(&module.version)) {
                found.admitted = true;
                let is_active = self.name_entry(&module).is_some_and(|entry| entry.active.get() == Some(id));
                self.consider(&mut found, import, module.name, ProviderId::Module(id), (is_active, module.version));
            }
        }
        for (number, provider) in self.embedder().all().filter(|(_, provider)| wanted.admits(&provider.name, None)) {
            found.admitted = true;
            let rank = (true, Version { major: 0, minor: 0, patch: 0 });
            self.consider(&mut found, import, provider.name, ProviderId::Embedder(number), rank);
        }
        for &interface in LoaderInterface::ALL {
            let Some(name) = Name::new(LOADER_NAME).filter(|name| wanted.admits(name, None)) else { break };
            found.admitted = true;
            let rank = (true, Version { major: 0, minor: 0, patch: 0 });
            self.consider(&mut found, import, name, ProviderId::Loader(interface), rank);
        }
        match found {
            Found { several: true, .. } => Err(ImportError::SeveralProviders),
            Found { best: Some((_, provider, _)), .. } => Ok(provider),
            Found { unfit: Some(found), .. } => Err(ImportError::Version { found, expected: import.version }),
            Found { admitted, .. } => Err(match Name::new(wanted.name) {
                None => no_provider(import.interface, import.version),
                Some(provider) if admitted => ImportError::NotExported { provider },
                Some(provider) => ImportError::NotLoaded { provider },
            }),
        }
    }

    /// Adds a provider to those that were found, if it exports the interface in a version that serves.
    fn consider(&self, found: &mut Found, import: &Entry<'_>, name: Name, provider: ProviderId, rank: Rank) {
        // The guards of regions rely on what the loader says of them.
        if import.interface == "regions" && !matches!(provider, ProviderId::Loader(_)) {
            return;
        }
        let export =
            self.with_export(provider, import.interface, |export| (export.serves(import.version), export.version()));
        match export {
            Some((true, _)) => found.add(name, provider, rank),
            Some((false, version)) => found.unfit = Some(version),
            None => {}
        }
    }
}

/// Returns the error for an interface that nothing exports.
pub(super) fn no_provider(interface: &str, version: (u16, u16)) -> ImportError {
    // The names of interfaces are well-formed.
    Name::new(interface).map_or(ImportError::Selector, |interface| ImportError::NoProvider { interface, version })
}

/// Checks that an export serves users of the version `wanted` who know these methods.
pub(super) fn check_export(
    export: &Export<'_>,
    wanted: (u16, u16),
    methods: impl IntoIterator<Item = Method>,
) -> Result<(), ImportError> {
    if !export.serves(wanted) {
        return Err(ImportError::Version { found: export.version(), expected: wanted });
    }
    match methods.into_iter().position(|method| export.function(&method).is_none()) {
        Some(index) => Err(ImportError::Method { number: u16::try_from(index).unwrap_or(u16::MAX) }),
        None => Ok(()),
    }
}

/// Returns whether a text names a provider, with a version requirement or without.
#[cfg(feature = "parameters")]
pub(crate) fn is_selector(text: &str) -> bool {
    (1..=MAX_SELECTOR).contains(&text.len()) && Selector::parse(text).is_some()
}

/// The provider that an import asks for.
pub(super) struct Selector<'text> {
    name: &'text str,
    /// The part behind the `@`, if there is one.
    requirement: Option<Requirement>,
}

impl<'text> Selector<'text> {
    /// Reads a name, with a version requirement behind an `@` or without; empty for any provider.
    pub fn parse(text: &'text str) -> Option<Selector<'text>> {
        let (name, requirement) = match text.split_once('@') {
            Some((name, requirement)) => (name, Some(Requirement::parse(requirement)?)),
            None => (text, None),
        };
        (text.is_empty() || Name::new(name).is_some()).then_some(Selector { name, requirement })
    }

    /// Returns whether a provider will do. The embedder's have no version, and meet no requirement.
    pub fn admits(&self, name: &Name, version: Option<&Version>) -> bool {
        let required = self.requirement.as_ref();
        let meets = required.is_none_or(|wanted| version.is_some_and(|version| wanted.admits(version)));
        meets && (self.name.is_empty() || self.name == name.as_str())
    }
}

/// Without the feature `semver` no requirement is understood.
#[cfg(not(feature = "semver"))]
struct Requirement;

#[cfg(not(feature = "semver"))]
impl Requirement {
    fn parse(_: &str) -> Option<Requirement> {
        None
    }

    fn admits(&self, _: &Version) -> bool {
        false
    }
}
