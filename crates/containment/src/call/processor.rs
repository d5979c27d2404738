//! The state of a processor: the calls under way on it, and the stacks of its traps.

use core::cell::UnsafeCell;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64};

use bareflow_loader::diagnosis::{Diagnosis, ServiceLog};
use bareflow_loader::{Fault, FaultKind};
use spin::Mutex;

use super::Activation;
use super::event_limit::EventLimit;
use super::provider::ProviderCall;

/// The state of the calls under way on one processor. Only its own code and its traps use this, so no access is ordered
/// with another one.
pub struct Processor {
    /// The running call, or null. The trampolines read it, since a module may have destroyed every register.
    pub current: AtomicPtr<Activation>,
    /// The distance of the next call's stack from the first stack of the kernel domain. Nested calls have stacks of
    /// their own.
    pub(super) stack_shift: AtomicU64,
    /// The last fault, and its diagnosis.
    pub(super) fault: Mutex<(Fault, Option<Diagnosis>)>,
    /// The clock when the last fault was noted.
    pub(super) fault_time: AtomicU64,
    /// The services that the running call called last, if it called any.
    pub(super) services: Mutex<ServiceLog>,
    /// The innermost running call of a provider of the kernel's own, or null.
    pub(super) provider: AtomicPtr<ProviderCall>,
    /// The number of nested deferred works: module code may run during one, and be interrupted by another.
    pub(super) deferred_depth: AtomicU32,
    /// Whether work is due that a tick could not start, since the tick interrupted the kernel's work for a module.
    pub(super) is_work_waiting: AtomicBool,
    /// The limits on the time of the event's handler that runs, if one does.
    pub(super) event_limit: EventLimit,
    /// Whether a trap is being handled. A trap during that goes to the kernel as nested.
    pub is_handling_trap: AtomicBool,
    /// The stack pointer of ring 3 at the last `syscall`.
    pub(super) user_stack: AtomicU64,
    /// The end of the stack on which services of ring 3 run: that of `stacks`.
    pub(super) service_stack_end: AtomicPtr<Stack>,
    /// The stacks of its traps.
    pub stacks: &'static Stacks,
}

impl Processor {
    const fn new(stacks: &'static Stacks) -> Processor {
        Processor {
            current: AtomicPtr::new(null_mut()),
            stack_shift: AtomicU64::new(0),
            fault: Mutex::new((UNKNOWN, None)),
            fault_time: AtomicU64::new(0),
            services: Mutex::new(ServiceLog::EMPTY),
            provider: AtomicPtr::new(null_mut()),
            deferred_depth: AtomicU32::new(0),
            is_work_waiting: AtomicBool::new(false),
            event_limit: EventLimit::none(),
            is_handling_trap: AtomicBool::new(false),
            user_stack: AtomicU64::new(0),
            service_stack_end: AtomicPtr::new(stacks.service.end().cast_mut()),
            stacks,
        }
    }
}

/// The initial value of the last fault, which is never reported.
const UNKNOWN: Fault = Fault { kind: FaultKind::GeneralProtection, offset: None, address: None };

/// The processor that booted, the only one so far.
#[unsafe(export_name = "bareflow_processor")]
static BOOT_PROCESSOR: Processor = Processor::new(&BOOT_STACKS);
static BOOT_STACKS: Stacks = Stacks::new();

/// Returns the state of the processor that executes this.
#[inline(always)]
pub fn this_processor() -> &'static Processor {
    &BOOT_PROCESSOR
}

/// An instruction of assembly with a field of [`this_processor`] in the place of `_`. The field's name is an operand,
/// its offset.
macro_rules! on_this_processor {
    ($before:literal, $field:literal $(, $behind:literal)?) => {
        concat!($before, "[rip + bareflow_processor + {", $field, "}]" $(, $behind)?)
    };
}
pub(crate) use on_this_processor;

/// The size of a stack, in bytes.
const STACK_SIZE: usize = 16 << 10;

/// A stack of traps.
#[repr(C, align(16))]
pub struct Stack(UnsafeCell<[u8; STACK_SIZE]>);

// SAFETY: only the processor uses the bytes; no Rust reference to them exists.
unsafe impl Sync for Stack {}

impl Stack {
    const fn new() -> Stack {
        Stack(UnsafeCell::new([0; STACK_SIZE]))
    }

    /// Returns the address behind the stack, where it begins.
    pub const fn end(&self) -> *const Stack {
        core::ptr::from_ref(self).wrapping_add(1)
    }
}

/// The stacks of a processor's traps. Module code may use the red zone, so no trap may push onto its stack.
pub struct Stacks {
    /// The stacks of the interrupt stack table: one for ordinary exceptions, and one each for double faults, NMIs,
    /// machine checks and debug exceptions, which may interrupt the others.
    pub traps: [Stack; 5],
    /// The stack of services that ring 3 calls.
    service: Stack,
}

impl Stacks {
    const fn new() -> Stacks {
        Stacks { traps: [const { Stack::new() }; 5], service: Stack::new() }
    }

    /// Returns whether an address lies in one of them.
    pub(super) fn contains(&self, address: u64) -> bool {
        let start = core::ptr::from_ref(self).addr() as u64;
        (start..start + size_of::<Stacks>() as u64).contains(&address)
    }
}
