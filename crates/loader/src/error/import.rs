//! Errors of bindings: an import and the provider that it needs.

use crate::name::Name;

/// The reason for which an import was not bound. [`ModuleManager::explain_import`](crate::ModuleManager::explain_import)
/// has the names and the signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Nothing that is loaded exports the interface.
    #[error("no provider: nothing that is loaded exports {interface} {}.{}; load a module that does", .version.0, .version.1)]
    NoProvider {
        /// The interface's name.
        interface: Name,
        /// The version that the module was built against: major, minor.
        version: (u16, u16),
    },
    /// The provider that the import asks for by name is not loaded, or in no version that it asks for.
    #[error("its provider {provider} is not loaded in a version that it asks for; load one, or name another by --bind")]
    NotLoaded {
        /// The provider's name.
        provider: Name,
    },
    /// The provider that the import asks for by name does not export the interface.
    #[error("its provider {provider} does not export its interface; name another one by --bind")]
    NotExported {
        /// The provider's name.
        provider: Name,
    },
    /// Several modules export the interface.
    #[error(
        "several providers: more than one that is loaded exports its interface; name one by \
         package.metadata.bareflow.bind or by --bind"
    )]
    SeveralProviders,
    /// The provider exports another version of the interface.
    #[error(
        "version {}.{} of its interface is provided, expected {}.{} or a later one that is compatible; load another \
         version of one of the two",
        .found.0, .found.1, .expected.0, .expected.1
    )]
    Version {
        /// The version that is provided: major, minor.
        found: (u16, u16),
        /// The version that the module was built against.
        expected: (u16, u16),
    },
    /// The provider has no method of that name and with these types.
    #[error("method {} of its interface, counted from 1, is not provided with these types; rebuild one of the two", .number + 1)]
    Method {
        /// The method's number in the interface as the module knows it, from 0 on.
        number: u16,
    },
    /// The provider that the import asks for is no selector.
    #[error("its provider is no selector: expected a name, and @ and a version if you like")]
    Selector,
}

/// The reason for which the embedder's provider was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProvideError {
    /// The name breaks the rule.
    #[error("no name of a provider: expected [a-z0-9_-]{{1,31}}")]
    Name,
    /// The embedder provides that interface under that name already.
    #[error("the interface is provided under that name already; choose another one")]
    Taken,
    /// Memory ran out.
    #[error("no memory for the provider; unload a module or give the system more memory")]
    NoMemory,
}

/// The reason for which the embedder got no client of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// No module of that name is loaded.
    #[error("no module of that name is loaded; load it first")]
    NotLoaded,
    /// Memory ran out.
    #[error("no memory for the binding; unload a module or give the system more memory")]
    NoMemory,
    /// The module does not export the interface, in a version and with methods that serve.
    #[error("{0}")]
    Import(ImportError),
}

/// The reason for which a function was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FunctionError {
    /// The selector names no function.
    #[error("no function: expected module.function, module.interface.function, and @ and a version if you like")]
    Selector,
    /// No such module is loaded.
    #[error("no such module is loaded; see which are by `ps`")]
    NotLoaded,
    /// The module exports no function of that name, or its signatures were stripped.
    #[error("the module exports no function of that name; see which by `inspect`")]
    NoFunction,
    /// Several interfaces of the module have a method of that name.
    #[error("several interfaces of the module have a method of that name; put the interface before it")]
    Several,
}
