//! Containment for x86_64 kernels that run BareFlow modules: faults end calls, budgets bound them, ring 3 confines them.
//!
//! BareFlow's own kernel is built from this crate, and `examples/contained-kernel` is a small one that is. A kernel
//! provides what [`Kernel`] lists: where it maps physical memory, an allocator of frames, where its own code and stack
//! lie, a log, and what to do with a trap that is not a module's. It then takes four steps, once:
//!
//! 1. [`cpu::enable`] turns on what module code may use: vector units, write protection, no-execute, SMEP and SMAP.
//!    [`cpu::disable_pic`] keeps devices' interrupts away, unless the kernel takes them on IST stacks.
//! 2. [`page_tables::map_module_stacks`] maps the stacks of modules in ring 0, by the kernel's own mapper and allocator
//!    of the `x86_64` crate.
//! 3. [`descriptor_tables::load`] loads segments, a task state and an interrupt table, all of which are this crate's. A
//!    kernel that has its own calls [`descriptor_tables::fill_tss`] and [`descriptor_tables::fill_idt`] instead: they set
//!    the trap stacks, and the stubs of the vectors that modules can reach; [`descriptor_tables::fill_devices`] sets those of
//!    devices that modules drive.
//! 4. [`Contained::init`] enables `syscall`, starts the ticks, and returns the platform for a
//!    [`ModuleManager`](bareflow_loader::ModuleManager). [`self_test`] then tries every class of fault.
//!
//! The kernel lies in the upper two gigabytes, below [`layout::START`], from which on all addresses are this crate's.
//! There is one processor. Its ticks come from the local APIC ([`timer::LocalApic`]), or from a timer of the kernel's
//! own ([`Ticks`]). On the way from a trap to its outcome, a kernel may take ticks and debug exceptions first
//! ([`Kernel::tick`], [`Kernel::debug`]), and have work of its own done while a module stands still
//! ([`Kernel::run_deferred_work`]).
//!
//! A kernel that [provides interfaces](bareflow_loader::ModuleManager::provide) calls [`abandon_provider`] in its panic
//! handler, so that a panic there is an error of the module's call. Its providers use the manager within
//! [`outside_provider`], whose panics end the kernel.
//!
//! The modules of this crate are in layers: each imports only those before it.
//!
//! | layer | contents |
//! |---|---|
//! | [`layout`], [`selectors`], `frame` | addresses, segments, a trap's registers |
//! | `kernel` | the interface to the kernel |
//! | [`cpu`], `memory`, [`timer`] | processor, page tables, ticks |
//! | `syscall_stubs`, `image` | the memory of modules |
//! | `call` | the state of a processor, the running call: trampolines, recovery, deferred work, the kernel's own providers |
//! | `services`, `observed` | what modules may ask for, and calls that an observer notes |
//! | `traps` | what interrupts them |
//! | `platform`, `self_test` | all of it, for the loader |
#![no_std]

extern crate alloc;

mod call;
pub mod cpu;
mod frame;
mod image;
mod kernel;
pub mod layout;
mod memory;
mod observed;
mod platform;
pub mod selectors;
mod self_test;
mod services;
mod syscall_stubs;
pub mod timer;
mod traps;

pub use bareflow_runtime::clock;
pub use call::deferred_work::may_run_modules;
pub use call::provider::{abandon_provider, outside_provider};
pub use call::{Activation, last_fault_time, with_current};
pub use frame::TrapFrame;
pub use image::{Image, RESERVED_OUTPUT_BYTES};
pub use kernel::{AlreadyObserved, HEAP_BYTES, Kernel, Observer, Ticks, start_observing, stop_observing};
pub use memory::page_tables;
pub use platform::Contained;
pub use self_test::self_test;
pub use traps::descriptor_tables;
