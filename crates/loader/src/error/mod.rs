//! The errors of loads and calls, one enum for each stage.
//!
//! The messages say what was found, what was expected and what to do.

mod code;
mod invalid;
mod layout;
mod malformed;
mod platform;

use core::fmt;

pub use crate::permissions::ServiceNames;
pub use code::{BadCode, BadVariant};
pub use invalid::InvalidModule;
pub use layout::Differences;
pub use malformed::MalformedModule;
pub use platform::PlatformError;

use crate::fault::Fault;
use crate::name::{Name, Version};
use crate::permissions::Permissions;
use crate::policy::Domain;
use crate::version_range::VersionRange;

/// The advice for a file whose bytes are not those that the packer wrote.
const REBUILD: &str = "rebuild the module or copy it again";

/// The reason for which a load was refused. Nothing of the module stays behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is not a module.
    Malformed(MalformedModule),
    /// The module may not be loaded.
    Invalid(InvalidModule),
    /// A module of the same name is loaded.
    AlreadyLoaded {
        /// The name.
        name: Name,
        /// The version that is loaded.
        version: Version,
    },
    /// The module declares more than the policy allows.
    NotAllowed {
        /// The permissions beyond the policy.
        refused: Permissions,
        /// The policy.
        allowed: Permissions,
    },
    /// The module's data and bss exceed their limit.
    DataBudget {
        /// The size of data and bss, in bytes.
        found: u32,
        /// The limit, in bytes.
        limit: u32,
    },
    /// The platform does not have this domain.
    NoSuchDomain(Domain),
    /// The platform could not provide the image's memory.
    Platform(PlatformError),
    /// Memory for the loader's tables ran out.
    NoMemory,
    /// The module's `init` failed.
    InitFailed {
        /// The value that it returned.
        result: i32,
    },
    /// Memory for the call of the module's `init` ran out.
    NoMemoryForInit,
    /// The module's `init` faulted.
    InitFaulted(Fault),
    /// The old module has state and the new one has none.
    StateDropped {
        /// The versions of the old and the new module.
        versions: [Version; 2],
    },
    /// The new module's state has other fields, and it has no `migrate`.
    StateChanged {
        /// The versions of the old and the new module.
        versions: [Version; 2],
    },
    /// A call of the old module is running, and may change its state.
    StateBusy,
    /// The old module did not hand over its state.
    SaveFailed {
        /// The value that its handler returned.
        result: i32,
    },
    /// The old module faulted while it handed over its state.
    SaveFaulted(Fault),
    /// The new module's `migrate` failed.
    MigrateFailed {
        /// The value that it returned.
        result: i32,
    },
    /// The new module's `migrate` faulted.
    MigrateFaulted(Fault),
    /// Memory for the transfer of the state ran out.
    NoMemoryForState,
    /// No version of a dependency that satisfies the module is loaded.
    MissingDependency {
        /// The dependency's name.
        name: Name,
        /// The range of versions that the module needs.
        versions: VersionRange,
    },
    /// The module would call itself through the modules that it calls.
    DependencyCycle {
        /// The first module on the cycle that it calls.
        name: Name,
    },
    /// Another module calls the old one, and would no longer find a version in its range.
    StillNeeded {
        /// The module that calls it.
        by: Name,
        /// The range of versions that it needs.
        versions: VersionRange,
    },
    /// The candidate that was to be promoted is gone.
    CandidateGone,
    /// Another module of the name was published in the meantime.
    Overtaken,
}

impl fmt::Display for LoadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(out),
            Self::Invalid(error) => error.fmt(out),
            Self::AlreadyLoaded { name, version } => {
                write!(out, "already loaded: {name} {version}; unload it first, or rename this one")
            }
            Self::NotAllowed { refused, allowed } => write!(
                out,
                "not allowed: the module declares {refused}, the policy allows {allowed}; \
                 allow it, or remove it from the module's needs"
            ),
            Self::DataBudget { found, limit } => {
                write!(
                    out,
                    "data and bss of {found} bytes, expected at most {limit}; make the module's statics smaller, or \
                     raise the limit (`--budget data=..`)"
                )
            }
            Self::NoSuchDomain(domain) => {
                write!(out, "no {} domain here; load the module into another one", domain.name())
            }
            Self::Platform(error) => error.fmt(out),
            Self::NoMemory => {
                out.write_str("no memory for the module table; unload a module or give the system more memory")
            }
            Self::InitFailed { result } => {
                write!(out, "init failed: it returned {result}, expected 0; see the module's documentation")
            }
            Self::NoMemoryForInit => {
                out.write_str("no memory to call the module's init; unload a module or give the system more memory")
            }
            Self::InitFaulted(fault) => write!(out, "init faulted: {fault}; correct the module"),
            Self::StateDropped { versions: [old, new] } => write!(
                out,
                "{old} has a state and {new} has none: it would be lost; unload the old one first if that is meant"
            ),
            Self::StateChanged { versions: [old, new] } => write!(
                out,
                "the state of {new} has other fields than that of {old}; give the new one a `migrate`, or unload the old one first"
            ),
            Self::StateBusy => out.write_str(
                "a call of the old module is under way, and may change its state; try again when it has ended",
            ),
            Self::SaveFailed { result } => {
                write!(
                    out,
                    "the old module did not hand over its state: it returned {result}, expected 0; unload it first"
                )
            }
            Self::SaveFaulted(fault) => {
                write!(out, "the old module faulted when it was to hand over its state: {fault}; unload it first")
            }
            Self::MigrateFailed { result } => {
                write!(out, "migrate failed: it returned {result}, expected 0; see the module's documentation")
            }
            Self::MigrateFaulted(fault) => write!(out, "migrate faulted: {fault}; correct the module"),
            Self::MissingDependency { name, versions } => {
                write!(out, "missing dependency: no version {versions} of {name} is loaded; load one first")
            }
            Self::DependencyCycle { name } => {
                write!(
                    out,
                    "dependency cycle: by way of {name} the module would call itself; take one of the calls out"
                )
            }
            Self::StillNeeded { by, versions } => write!(
                out,
                "still needed: {by} calls the old one, and needs version {versions}; load this one beside it, or unload {by} first"
            ),
            Self::Overtaken => out.write_str("another module of its name was loaded meanwhile; try again"),
            Self::CandidateGone => out.write_str("the candidate was unloaded meanwhile; load it again"),
            Self::NoMemoryForState => {
                out.write_str("no memory for the state on its way; unload a module or give the system more memory")
            }
        }
    }
}

impl From<MalformedModule> for LoadError {
    fn from(error: MalformedModule) -> LoadError {
        LoadError::Malformed(error)
    }
}

impl From<InvalidModule> for LoadError {
    fn from(error: InvalidModule) -> LoadError {
        LoadError::Invalid(error)
    }
}

impl From<PlatformError> for LoadError {
    fn from(error: PlatformError) -> LoadError {
        LoadError::Platform(error)
    }
}

/// The reason for which a call returned no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The handle's module is gone.
    NotLoaded,
    /// The module is running, and its calls may not overlap.
    Busy,
    /// The module faulted in an earlier call and is stopped.
    Stopped(Fault),
    /// The module faulted in this call.
    Faulted(Fault),
    /// Memory for the module's profile ran out.
    ProfileFull,
    /// Memory for the call's input and output ran out.
    NoMemory,
}

impl fmt::Display for ExecuteError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded => out.write_str("not loaded: the module was unloaded; find it again"),
            Self::Busy => out.write_str("busy: the module is running and is not reentrant; wait for its call to end"),
            Self::Stopped(fault) => write!(out, "stopped: an earlier call faulted ({fault}); load the module anew"),
            Self::Faulted(fault) => write!(out, "faulted: {fault}"),
            Self::ProfileFull => {
                out.write_str("no memory for the profile; unload a module or give the system more memory")
            }
            Self::NoMemory => out.write_str(
                "no memory for the call's input and output in the module's domain; pass less, or give the system more memory",
            ),
        }
    }
}

/// The reason for which a module could not be unloaded. The module stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnloadError {
    /// The handle's module is gone.
    NotLoaded,
    /// A call of the module is running.
    Busy {
        /// The module's name.
        name: Name,
        /// The module's version.
        version: Version,
    },
    /// Another module calls it, and would no longer find a version in its range.
    Needed {
        /// The module's name.
        name: Name,
        /// The module's version.
        version: Version,
        /// One of the modules that need it; [`dependents`](crate::ModuleManager::dependents) lists all.
        by: Name,
    },
}

impl fmt::Display for UnloadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded => out.write_str("not loaded: the module was unloaded; find it again"),
            Self::Busy { name, version } => {
                write!(out, "busy: a call of {name} {version} is under way; wait for it to end")
            }
            Self::Needed { name, version, by } => {
                write!(
                    out,
                    "needed: {by} calls {name} {version}; unload {by} first, or load another version that will do"
                )
            }
        }
    }
}

/// The reason for which a selector matches no module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SelectError {
    /// The part before the `@` is no valid name.
    Name,
    /// The part after the `@` is neither a version nor a requirement.
    Requirement,
    /// No module of that name is loaded.
    NoSuchName,
    /// Modules of that name are loaded, but none of a matching version.
    NoSuchVersion,
}

impl fmt::Display for SelectError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Name => "no name of a module: expected [a-z0-9_-]{1,31}, and @ and a version if you like",
            Self::Requirement => "no version: expected one such as 1.2.0, or a requirement such as ^1, behind the @",
            Self::NoSuchName => "no module of that name is loaded; see which are by `ps`",
            Self::NoSuchVersion => "modules of that name are loaded, but none of such a version; see which by `ps`",
        })
    }
}

impl core::error::Error for UnloadError {}
impl core::error::Error for SelectError {}
impl core::error::Error for LoadError {}
impl core::error::Error for ExecuteError {}
