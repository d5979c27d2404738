//! Loads native modules into a running kernel or process.
//!
//! Every stage of a load is a type of its own, which can only be made from the stage before it:
//!
//! ```text
//! bytes -> RawModule -> ValidModule -> PlacedModule -> ModuleId -> execute + profile -> report
//!          raw.rs       valid.rs       placed.rs       load.rs     profile/           report.rs
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
//! | faults | Vectors 0, 1, 3 to 8, 10 to 14, 16, 17, 19, NMI and the timer end in a [`Fault`]; execution goes on after
//! the call |
//! | panics, exhausted heaps | `ud1` with the bytes of [`bareflow_abi::trap_codes`] |
//! | stack, heap, time, services | The platform provides them, by [`Placement`]; the loader enforces none of it |
//! | allocator | [`Platform::allocator`] is an `Allocator` of `allocator-api2` 0.2; other versions have a different
//! trait |
//! | addresses | One image spans 1.5 GiB ([`bareflow_abi::layout::IMAGE_SPAN`]), and many share that span: [`RangeAllocator`], [`Segments::pages`] |
//! | locks | The manager is `Send`, not `Sync`. It may be re-entered by `&self` from inside a call; a lock around it that is held during a call may not |

#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod ab_test;
mod batch;
mod budget;
mod call;
mod call_cost;
pub mod code;
mod conflict;
mod counters;
pub mod depends;
pub mod diagnosis;
pub mod error;
mod execute;
mod fault;
#[cfg(all(test, not(any(feature = "depends", feature = "restart", feature = "variants"))))]
mod features_tests;
pub mod fixups;
mod kernel_domain;
mod lifecycle;
mod load;
mod manager;
mod module;
mod name;
mod peak;
mod pending;
mod permissions;
mod permit;
mod pinned;
pub mod placed;
mod platform;
mod policy;
mod printable;
mod profile;
pub mod range_allocator;
mod raw;
pub mod records;
mod registry;
#[cfg(feature = "reload")]
mod reload;
pub mod report;
#[cfg(feature = "semver")]
mod requirement;
mod restart;
pub mod segments;
pub mod state;
#[cfg(test)]
mod testing;
mod unload;
pub mod valid;
mod version_range;
mod versions;

pub use ab_test::AbTest;
/// The crate of the allocator traits that [`Platform::Alloc`] implements, in the version that this crate uses.
pub use allocator_api2;
pub use batch::BatchTiming;
pub use budget::{BadBudget, Budget};
pub use code::Code;
pub use counters::Counters;
pub use depends::{DependencyCycle, VersionRange};
pub use diagnosis::{Diagnosis, LoadFault};
pub use error::{
    BadCode, BadVariant, ExecuteError, InvalidModule, LoadError, MalformedModule, SelectError, UnloadError,
};
pub use fault::{Fault, FaultKind};
pub use kernel_domain::KernelDomain;
pub use manager::ModuleManager;
pub use module::ModuleId;
pub use name::{MAX_NAME_LENGTH, Name, Version};
pub use peak::PeakUse;
pub use permissions::{Permissions, ServiceNames, UnknownPermission};
pub use pinned::PinnedModule;
pub use platform::{
    Call, CallError, CallOutcome, Callees, FastReturn, ImageSize, Leak, MAX_DEPTH, Platform, PlatformError, TimedCall,
    Usage, WritableImage,
};
pub use policy::{Domain, FaultPolicy, LoadOptions, Placement};
pub use printable::Printable;
pub use profile::{CorrectedStatistics, CycleStatistics, ModuleProfile, Snapshot, Timing};
pub use range_allocator::RangeAllocator;
pub use raw::RawModule;
#[cfg(feature = "reload")]
pub use reload::{Reloaded, Replaced};
pub use report::SEPARATOR;
pub use segments::Segments;
pub use state::StateTransfer;
pub use unload::Receipt;
pub use valid::ValidModule;
