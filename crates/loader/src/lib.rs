//! Loads native modules into a running kernel or process.
//!
//! Every stage of a load is a type of its own, which can only be made from the stage before it:
//!
//! ```text
//! bytes -> RawModule -> ValidModule -> PlacedModule -> ModuleId -> execute -> ModuleProfile
//!          format/       format/        module/         load/       call/      profiles.rs
//! ```
//!
//! The embedder implements [`Platform`] (memory, clock, the call) and drives a [`ModuleManager`]. This crate contains
//! no unsafe block, and all memory for its tables comes from the platform's allocator.
//!
//! # Before the first module in a kernel
//!
//! These requirements do not show in the trait's methods, and cause late and remote failures if they are missed. The
//! page `docs/embedding.md` of BareFlow's repository lists the registers and vectors, and where BareFlow's own kernel
//! implements each point.
//!
//! | | |
//! |---|---|
//! | processor | Modules use SSE2: CR0.MP and NE set, EM and TS clear; CR4.OSFXSR and OSXMMEXCPT; EFER.NXE. Higher levels need XCR0: [`Platform::cpu_level`] |
//! | red zone | Modules use it. In ring 0 every vector, those of devices included, has an IST stack |
//! | faults | Vectors 0, 1, 3 to 8, 10 to 14, 16, 17, 19, NMI and the timer end in a [`Fault`]; execution goes on after the call |
//! | panics, exhausted heaps | `ud1` with the bytes of [`bareflow_abi::trap_codes`] |
//! | stack, heap, time, services | The platform provides them, by [`Placement`]; the loader enforces none of it |
//! | allocator | [`Platform::allocator`] is an `Allocator` of `allocator-api2` 0.2; other versions have a different trait |
//! | addresses | One image spans 1.5 GiB ([`bareflow_abi::layout::IMAGE_SPAN`]), and many share that span: [`RangeAllocator`], [`Segments::pages`] |
//! | locks | The manager is `Send`, not `Sync`. It may be re-entered by `&self` from inside a call; a lock around it that is held during a call may not |

#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

// Each module imports only modules to its left in this order: name, policy, fault, error, format, profile, diagnosis,
// platform, module, registry, manager; then what the manager does: depends, load, call, interfaces, events,
// supervision, portable, and the files for replacement, unloading, profiles and the report on them. `provenance` follows
// name, and `sandbox` format.
mod call;
pub mod depends;
#[cfg(feature = "devices")]
mod devices;
pub mod diagnosis;
pub mod error;
#[cfg(feature = "events")]
mod events;
mod fault;
#[cfg(all(test, not(any(feature = "depends", feature = "restart", feature = "variants"))))]
mod features_tests;
mod format;
mod interfaces;
mod load;
mod load_fault;
mod manager;
#[cfg(all(test, feature = "memory"))]
mod memory_tests;
mod module;
mod name;
mod platform;
mod policy;
#[cfg(feature = "portable")]
pub mod portable;
mod printable;
mod profile;
mod profiles;
mod provenance;
#[cfg(feature = "regions")]
mod regions;
mod registry;
#[cfg(feature = "reload")]
mod reload;
#[cfg(feature = "report")]
mod report;
#[cfg(feature = "portable")]
mod sandbox;
mod supervision;
#[cfg(test)]
mod testing;
#[cfg(all(
    test,
    feature = "traps",
    feature = "interfaces",
    feature = "parameters",
    feature = "reload",
    feature = "restart"
))]
mod traps_tests;
mod unload;
mod versions;

/// The crate of the allocator traits that [`Platform::Alloc`] implements, in the version that this crate uses.
pub use allocator_api2;
pub use call::ab_test::{self, AbTest};
pub use call::batch::BatchTiming;
pub use call::callee::Callee;
pub use call::pinned::PinnedModule;
pub use depends::{DependencyCycle, VersionRange};
#[cfg(feature = "devices")]
pub use devices::DeviceDetails;
pub use diagnosis::Diagnosis;
#[cfg(feature = "supervision")]
pub use error::RestartError;
pub use error::{
    BadCode, BadVariant, BindError, ExecuteError, FunctionError, ImportError, InvalidModule, LoadError,
    MalformedModule, ProvideError, SelectError, UnloadError,
};
#[cfg(feature = "events")]
pub use events::{EventDetails, EventFault, EventsRun};
pub use fault::{Fault, FaultKind};
pub use format::code::{self, CodeVariant};
pub use format::raw::RawModule;
pub use format::segments::Segments;
pub use format::valid::ValidModule;
pub use format::{fixups, records, segments, valid};
pub use interfaces::{Bound, FunctionId, FunctionProfile, ImportDetails, Provided, Provider};
#[cfg(feature = "parameters")]
pub use load::parameters;
pub use load::state;
pub use load::state::StateTransfer;
pub use load_fault::LoadFault;
pub use manager::ModuleManager;
pub use module::ModuleId;
pub use module::placed;
pub use module::receipt::Receipt;
pub use name::{MAX_NAME_LENGTH, Name, Version};
pub use platform::range_allocator;
pub use platform::range_allocator::RangeAllocator;
pub use platform::{
    Call, CallFailure, CallOutcome, Callees, FastExit, FastReturn, ImageSize, LinearMemory, MAX_DEPTH, Occurrence,
    Platform, PlatformError, RegionMemory, TimedCall, TimedReply, WritableImage,
};
#[cfg(feature = "devices")]
pub use platform::{DeviceBus, DeviceFacts, Reach};
pub use policy::allowed::{Allowed, MAX_INTERFACES};
#[cfg(feature = "parameters")]
pub use policy::assignment::{Assignment, BadAssignment};
pub use policy::budget::{BadBudget, Budget};
pub use policy::kernel_domain::KernelDomain;
pub use policy::permissions::{Permissions, ServiceNames, UnknownPermission};
pub use policy::{Backoff, Domain, EventLimits, FaultPolicy, LoadOptions, LoadSettings, Placement};
#[cfg(feature = "portable")]
pub use portable::Cost;
pub use printable::Printable;
pub use profile::counters::Counters;
pub use profile::peak::PeakUse;
pub use profile::{CorrectedStatistics, CycleStatistics, Leak, ModuleProfile, Snapshot, Timing, Usage};
#[cfg(feature = "portable")]
pub use provenance::{Digest, Provenance};
#[cfg(feature = "events")]
pub use registry::events::EventCounts;
#[cfg(feature = "reload")]
pub use reload::{Reloaded, Replaced};
#[cfg(feature = "supervision")]
pub use supervision::{FellBack, Happening, Notice, Supervised};
