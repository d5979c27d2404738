//! The errors of loads and calls, one enum for each stage.
//!
//! The messages say what was found, what was expected and what to do.

mod code;
mod import;
mod invalid;
mod layout;
mod malformed;
mod platform;

#[cfg(feature = "parameters")]
pub use crate::policy::assignment::BadAssignment;
pub use crate::policy::permissions::ServiceNames;
pub use code::{BadCode, BadVariant};
pub use import::{BindError, FunctionError, ImportError, ProvideError};
pub use invalid::InvalidModule;
pub use layout::Differences;
pub use malformed::MalformedModule;
pub use platform::PlatformError;

#[cfg(feature = "devices")]
use bareflow_abi::devices::Selector;

use crate::fault::{Fault, FaultKind};
use crate::name::version_range::VersionRange;
use crate::name::{Name, Version};
use crate::policy::permissions::Permissions;
use crate::policy::{Domain, FaultPolicy};

/// Returns the option of `boot` and `serve` that attaches a device.
#[cfg(feature = "devices")]
const fn option_for(device: Selector) -> &'static str {
    match device {
        Selector::Virtio(1) | Selector::Class(2, 0) => "`--net`",
        Selector::Model(0x8086, 0x10d3) => "`--iommu --net=model=e1000e`",
        Selector::Virtio(4) => "`--device virtio-rng-pci`",
        _ => "`--device` with QEMU's words for it, as `--device edu`,",
    }
}

/// The advice for a file whose bytes are not those that the packer wrote.
const REBUILD: &str = "rebuild the module or copy it again";

/// The reason for which a load was refused. Nothing of the module stays behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is not a module.
    #[error(transparent)]
    Malformed(#[from] MalformedModule),
    /// The module may not be loaded.
    #[error(transparent)]
    Invalid(#[from] InvalidModule),
    /// A module of the same name is loaded.
    #[error("already loaded: {name} {version}; unload it first, or rename this one")]
    AlreadyLoaded {
        /// The name.
        name: Name,
        /// The version that is loaded.
        version: Version,
    },
    /// The module declares more than the policy allows.
    #[error(
        "not allowed: the module declares {refused}, the policy allows {allowed}; allow it, or remove it from the \
         module's needs"
    )]
    NotAllowed {
        /// The permissions beyond the policy.
        refused: Permissions,
        /// The policy.
        allowed: Permissions,
    },
    /// The module imports an interface that the policy does not allow.
    #[error(
        "not allowed: import {import} is of the interface {interface}, which the policy does not name; add \
         interface:{interface} to it (`--allow`), or leave the module out"
    )]
    InterfaceNotAllowed {
        /// The import's own name.
        import: Name,
        /// The interface.
        interface: Name,
    },
    /// The module has events, and the policy does not allow their interface.
    #[error(
        "not allowed: the module has events, and the policy does not name their interface; add interface:events to it \
         (`--allow`), or leave the module out"
    )]
    EventsNotAllowed,
    /// The module declares a device that the policy does not allow.
    #[cfg(feature = "devices")]
    #[error(
        "not allowed: the module drives {device}, which the policy does not name; add device:{device} to it (`--allow`), or \
         leave the module out"
    )]
    DeviceNotAllowed {
        /// The device, as the module declares it.
        device: Selector,
    },
    /// There is no device that the module could drive.
    #[cfg(feature = "devices")]
    #[error(
        "no device here is {device}, which the module drives; `bareflow devices` lists those that are there, and {} of `boot` \
         and `serve` attaches one",
        option_for(*.device)
    )]
    NoSuchDevice {
        /// The device, as the module declares it.
        device: Selector,
    },
    /// Other modules have all devices that the module could drive.
    #[cfg(feature = "devices")]
    #[error(
        "{by} has the device {device}, which the module drives; unload it first, or give this crate that name, so that a push \
         replaces it"
    )]
    DeviceTaken {
        /// The device, as the module declares it.
        device: Selector,
        /// The module that has it.
        by: Name,
    },
    /// The only device that the module could drive is the embedder's own.
    #[cfg(feature = "devices")]
    #[error("the kernel itself drives the only device {device}, which the module drives; attach a second one")]
    DeviceReserved {
        /// The device, as the module declares it.
        device: Selector,
    },
    /// The only device that the module could drive can't be used, or could not be stopped when its last driver ended.
    #[cfg(feature = "devices")]
    #[error("the device {device} can't be used; `bareflow devices` says why")]
    DeviceUnusable {
        /// The device, as the module declares it.
        device: Selector,
    },
    /// The only device that the module could drive reaches all memory.
    #[cfg(feature = "devices")]
    #[error(
        "the device {device} uses whatever addresses its driver gives it, so that this reaches all memory; put it behind an IOMMU \
         (`--iommu`), or trust its driver (`--allow all,device-trusted`)"
    )]
    DeviceUnbounded {
        /// The device, as the module declares it.
        device: Selector,
    },
    /// The embedder has no devices for modules.
    #[cfg(feature = "devices")]
    #[error(
        "the module drives {device}, and there are no devices for modules here; load it in a kernel, by `boot` or `serve`"
    )]
    NoDevices {
        /// The device, as the module declares it.
        device: Selector,
    },
    /// The module's data and bss exceed their limit.
    #[error(
        "data and bss of {found} bytes, expected at most {limit}; make the module's statics smaller, or raise the \
         limit (`--budget data=..`)"
    )]
    DataBudget {
        /// The size of data and bss, in bytes.
        found: u32,
        /// The limit, in bytes.
        limit: u32,
    },
    /// The module's linear memory is larger at first than its limit.
    #[error(
        "a linear memory of {found} bytes, expected at most {limit}; make the module's memory smaller, or raise the limit \
         (`--budget memory=..`)"
    )]
    MemoryBudget {
        /// The size at first, in bytes.
        found: u64,
        /// The limit, in bytes.
        limit: u32,
    },
    /// The platform does not have this domain.
    #[error("no {} domain here; load the module into another one", .0.name())]
    NoSuchDomain(Domain),
    /// The manager has no permission for the kernel domain.
    #[error(
        "the kernel domain is not permitted to this manager; load into the user domain, or create it by \
         ModuleManager::with_kernel_domain"
    )]
    NoKernelDomain,
    /// The fault policy delays restarts, or returns to an earlier version, and the platform has no clock for that.
    #[error("no clock here for the policy {0}; use stop, restart or restart:N")]
    NoClock(FaultPolicy),
    /// The platform could not provide the image's memory.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// Memory for the loader's tables ran out.
    #[error("no memory for the module table; unload a module or give the system more memory")]
    NoMemory,
    /// A parameter can't be set.
    #[cfg(feature = "parameters")]
    #[error(transparent)]
    Parameter(#[from] BadAssignment),
    /// The module did not take the values of its parameters.
    #[error("the module did not take its parameters: it returned {result}, expected 0; rebuild it or copy it again")]
    ParametersFailed {
        /// The value that its handler returned.
        result: i32,
    },
    /// The module faulted when it was to take the values of its parameters.
    #[error("the module faulted when it was to take its parameters: {0}; rebuild it or copy it again")]
    ParametersFaulted(Fault),
    /// The module's `init` failed.
    #[error("init failed: it returned {result}, expected 0; see the module's documentation")]
    InitFailed {
        /// The value that it returned.
        result: i32,
    },
    /// Memory for the call of the module's `init` ran out.
    #[error("no memory to call the module's init; unload a module or give the system more memory")]
    NoMemoryForInit,
    /// The module has events, and the platform has no time.
    #[error(
        "it has timers or other events, and there is no clock here that counts time; load it on a machine with one"
    )]
    NoTime,
    /// The module's `init` faulted.
    #[error("init faulted: {0}; correct the module")]
    InitFaulted(Fault),
    /// The old module has state and the new one has none.
    #[error(
        "{} has a state and {} has none: it would be lost; unload the old one first if that is meant",
        .versions[0], .versions[1]
    )]
    StateDropped {
        /// The versions of the old and the new module.
        versions: [Version; 2],
    },
    /// The new module's state has other fields, and it has no `migrate`.
    #[error(
        "the state of {} has other fields than that of {}; give the new one a `migrate`, or unload the old one first",
        .versions[1], .versions[0]
    )]
    StateChanged {
        /// The versions of the old and the new module.
        versions: [Version; 2],
    },
    /// A call of the old module is running, and may change its state.
    #[error("a call of the old module is under way, and may change its state; try again when it has ended")]
    StateBusy,
    /// The old module did not hand over its state.
    #[error("the old module did not hand over its state: it returned {result}, expected 0; unload it first")]
    SaveFailed {
        /// The value that its handler returned.
        result: i32,
    },
    /// The old module faulted while it handed over its state.
    #[error("the old module faulted when it was to hand over its state: {0}; unload it first")]
    SaveFaulted(Fault),
    /// The instance of WebAssembly in the old module is not what the blobs say.
    #[cfg(feature = "portable")]
    #[error("the instance can't be carried over: {what}; unload the old module first, or use another engine")]
    BadInstance {
        /// The fact that is wrong.
        what: &'static str,
    },
    /// The new module's `migrate` failed.
    #[error("migrate failed: it returned {result}, expected 0; see the module's documentation")]
    MigrateFailed {
        /// The value that it returned.
        result: i32,
    },
    /// The new module's `migrate` faulted.
    #[error("migrate faulted: {0}; correct the module")]
    MigrateFaulted(Fault),
    /// Memory for the transfer of the state ran out.
    #[error("no memory for the state on its way; unload a module or give the system more memory")]
    NoMemoryForState,
    /// No version of a dependency that satisfies the module is loaded.
    #[error("missing dependency: no version {versions} of {name} is loaded; load one first")]
    MissingDependency {
        /// The dependency's name.
        name: Name,
        /// The range of versions that the module needs.
        versions: VersionRange,
    },
    /// The module would call itself through the modules that it calls.
    #[error("dependency cycle: by way of {name} the module would call itself; take one of the calls out")]
    DependencyCycle {
        /// The first module on the cycle that it calls.
        name: Name,
    },
    /// Another module calls the old one, and would no longer find a version in its range.
    #[error(
        "still needed: {by} calls the old one, and needs version {versions}; load this one beside it, or unload {by} \
         first"
    )]
    StillNeeded {
        /// The module that calls it.
        by: Name,
        /// The range of versions that it needs.
        versions: VersionRange,
    },
    /// An import could not be bound.
    #[error("import {import}: {error}")]
    Import {
        /// The import's own name.
        import: Name,
        /// The reason.
        error: ImportError,
    },
    /// The embedder itself uses an interface of the old one, which the new one does not provide to it any more.
    #[error(
        "still used: the kernel itself uses {interface} of the old one, and the new one lacks what it uses; load this \
         one beside it"
    )]
    UsedByEmbedder {
        /// The interface.
        interface: Name,
    },
    /// Another module uses an interface of the old one, which the new one does not provide to it any more.
    #[error(
        "still used: {by} uses {interface} of the old one, and the new one lacks what it uses; load this one beside it, \
         or unload {by} first"
    )]
    StillUsed {
        /// The module that uses it.
        by: Name,
        /// The interface.
        interface: Name,
    },
    /// An import of another module is bound to the old one by a version requirement that the new one does not meet.
    #[error(
        "still needed: import {import} of {by} asks for a version of the old one that this is not; load this one beside \
         it, or unload {by} first"
    )]
    StillBound {
        /// The module that uses it.
        by: Name,
        /// The import's own name.
        import: Name,
    },
    /// The candidate that was to be promoted is gone.
    #[error("the candidate was unloaded meanwhile; load it again")]
    CandidateGone,
    /// Another module of the name was published in the meantime.
    #[error("another module of its name was loaded meanwhile; try again")]
    Overtaken,
}

impl LoadError {
    /// Whether memory ran out, so that the same load may succeed with more of it.
    #[must_use]
    pub const fn is_for_memory(&self) -> bool {
        match self {
            Self::NoMemory | Self::NoMemoryForInit | Self::NoMemoryForState => true,
            Self::Platform(error) => error.bytes > 0,
            _ => false,
        }
    }

    /// Whether another module was missing, which this one calls or whose interface it uses, so that the same load may
    /// succeed after it.
    #[must_use]
    pub const fn is_for_another_module(&self) -> bool {
        match self {
            Self::MissingDependency { .. } => true,
            Self::Import { error, .. } => {
                matches!(error, ImportError::NoProvider { .. } | ImportError::NotLoaded { .. })
            }
            _ => false,
        }
    }
}

/// The reason for which a call returned no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The handle's module is gone.
    #[error("not loaded: the module was unloaded; find it again")]
    NotLoaded,
    /// The module is running, and its calls may not overlap.
    #[error("busy: the module is running and is not reentrant; wait for its call to end")]
    Busy,
    /// The module faulted in an earlier call and is stopped.
    #[error("stopped: an earlier call faulted ({0}); restart the module, or load it anew")]
    Stopped(Fault),
    /// The module faulted in an earlier call, and is going to be restarted, or replaced by the version before it.
    #[error("waiting: an earlier call faulted ({kind}), and the module starts again in {} ms; try again then", .starts_in_us / 1000)]
    Waiting {
        /// The kind of the fault.
        kind: FaultKind,
        /// The time until then, in microseconds; 0 if it is due.
        starts_in_us: u64,
    },
    /// The module faulted in this call.
    #[error("faulted: {0}")]
    Faulted(Fault),
    /// Memory for the module's profile ran out.
    #[error("no memory for the profile; unload a module or give the system more memory")]
    ProfileFull,
    /// The module has no `run`.
    #[error("no run: the module only exports functions; call one of them")]
    NoRun,
    /// Memory for the call's input and output ran out.
    #[error(
        "no memory for the call's input and output in the module's domain; pass less, or give the system more memory"
    )]
    NoMemory,
}

impl ExecuteError {
    /// Whether memory ran out, so that the same call may succeed with more of it.
    #[must_use]
    pub const fn is_for_memory(&self) -> bool {
        matches!(self, Self::ProfileFull | Self::NoMemory)
    }
}

/// The reason for which a module was not restarted on purpose, or got no version to return to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestartError {
    /// The handle's module is gone.
    #[error("not loaded: the module was unloaded; find it again")]
    NotLoaded,
    /// A call of the module is running.
    #[error("busy: a call of the module is under way; wait for it to end")]
    Busy,
    /// The module's blob was not kept, since its policy never restarts it.
    #[error(
        "the module's blob was not kept; load it with another policy than stop: restart:0 keeps it and does no more"
    )]
    NotKept,
    /// The bytes are another blob than the module's.
    #[error("the blob is not one of that module; load it instead")]
    OtherBlob,
    /// The fresh image could not be made.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// The reason for which a module could not be unloaded. The module stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnloadError {
    /// The handle's module is gone.
    #[error("not loaded: the module was unloaded; find it again")]
    NotLoaded,
    /// A call of the module is running.
    #[error("busy: a call of {name} {version} is under way; wait for it to end")]
    Busy {
        /// The module's name.
        name: Name,
        /// The module's version.
        version: Version,
    },
    /// Another module calls it, and would no longer find a version in its range.
    #[error("needed: {by} calls {name} {version}; unload {by} first, or load another version that will do")]
    Needed {
        /// The module's name.
        name: Name,
        /// The module's version.
        version: Version,
        /// One of the modules that need it; [`dependents`](crate::ModuleManager::dependents) lists all.
        by: Name,
    },
    /// Another module imports an interface of it, and would be left without a provider.
    #[error("used: {by} uses an interface of {name} {version}; unload {by} first")]
    Used {
        /// The module's name.
        name: Name,
        /// The module's version.
        version: Version,
        /// One of the modules that use it.
        by: Name,
    },
    /// The embedder itself uses an interface of it.
    #[error("used: the kernel itself uses an interface of {name} {version}; end that use first")]
    UsedByEmbedder {
        /// The module's name.
        name: Name,
        /// The module's version.
        version: Version,
    },
}

/// The reason for which a selector matches no module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// The part before the `@` is no valid name.
    #[error("no name of a module: expected [a-z0-9_-]{{1,31}}, and @ and a version if you like")]
    Name,
    /// The part after the `@` is neither a version nor a requirement.
    #[error("no version: expected one such as 1.2.0, or a requirement such as ^1, behind the @")]
    Requirement,
    /// No module of that name is loaded.
    #[error("no module of that name is loaded; see which are by `ps`")]
    NoSuchName,
    /// Modules of that name are loaded, but none of a matching version.
    #[error("modules of that name are loaded, but none of such a version; see which by `ps`")]
    NoSuchVersion,
}
