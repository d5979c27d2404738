//! The kernel around the containment: what it provides, and what it is told.

use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bareflow_abi::interface::{Frame, Reply};
use bareflow_loader::{CallFailure, Name, Occurrence, TimedCall, TimedReply};
use spin::{Mutex, Once};
use x86_64::structures::paging::PhysFrame;

use crate::frame::TrapFrame;

/// A kernel that contains its modules.
///
/// Seven methods have no default; they suffice for modules that run in both domains, log, and call each other. The
/// others are for kernels that do work of their own while a module runs, or that test the containment.
///
/// All methods may be called while a module's call is interrupted, so none of them waits for a lock that other code of
/// the kernel may hold then.
///
/// # Safety
/// - All physical memory is mapped, writable, at [`physical_map`](Self::physical_map), in the upper half of the address
///   space, for good. Tables have four levels, and the root's upper half stays as it is; eight entries behind each other
///   that it does not use are taken for linear memories.
/// - [`image`](Self::image) holds all code and data of the kernel, this crate's included, and nothing of modules. While a
///   call runs, the kernel's code runs only there and on [`stack`](Self::stack), and no other thread runs. Both always
///   return the same range.
/// - An allocated frame is memory that nothing else uses until it is freed.
/// - Nothing else uses the addresses from [`layout::START`](crate::layout::START) on, ring 3, `syscall` or the debug
///   registers.
/// - The kernel is compiled without vector registers, as for `x86_64-unknown-none`: traps do not save them.
/// - The methods change a [`TrapFrame`] only so that the interrupted code can go on, and only
///   [`run_deferred_work`](Self::run_deferred_work) loads, calls or replaces modules.
pub unsafe trait Kernel: Sync {
    /// Returns the address at which all physical memory is mapped, writable.
    fn physical_map(&self) -> u64;

    /// Returns the addresses of the kernel's own code and data.
    fn image(&self) -> Range<u64>;

    /// Returns the addresses of the stack on which modules are called; it may be part of the image.
    fn stack(&self) -> Range<u64>;

    /// Allocates a frame, with any contents.
    fn allocate_frame(&self) -> Option<PhysFrame>;

    /// Frees a frame.
    ///
    /// # Safety
    /// [`allocate_frame`](Self::allocate_frame) returned it, and nothing maps it any more.
    unsafe fn free_frame(&self, frame: PhysFrame);

    /// Shows a line that a module logged.
    fn log(&self, module: &Name, line: &[u8]);

    /// Handles a trap for which no module is to blame: one in the kernel's own code, or a machine check. `address` is
    /// that of a page fault. `nested`: it came while another was handled, so that little can be relied on.
    ///
    /// If this returns, the interrupted code goes on; a fault that was not repaired comes again.
    fn trap(&self, frame: &mut TrapFrame, address: u64, nested: bool);

    /// Keeps up to `count` free frames from being allocated until they are unreserved, and returns how many; by default
    /// says `count` and does nothing. Frames are reserved for modules in ring 3 for the buffers of their calls.
    fn reserve_frames(&self, count: u64) -> u64 {
        count
    }

    /// Ends the reservation of `count` frames.
    fn unreserve_frames(&self, count: u64) {
        let _ = count;
    }

    /// Takes a tick before anything else does; returns whether no one else is to. `in_module`: it interrupted a
    /// module's own code.
    fn tick(&self, frame: &mut TrapFrame, in_module: bool) -> bool {
        let _ = (frame, in_module);
        false
    }

    /// Takes a breakpoint or a debug exception in a module's own code; returns whether the module is to go on.
    fn debug(&self, frame: &mut TrapFrame) -> bool {
        let _ = frame;
        false
    }

    /// Takes an interrupt of a vector from [`FIRST_DEVICE`](crate::timer::FIRST_DEVICE) to
    /// [`LAST_DEVICE`](crate::timer::LAST_DEVICE), also one that no device sent: any code in ring 0, and any device that
    /// writes to memory, can raise it. Deferred work is done behind it as behind a tick. By default does nothing.
    fn interrupt(&self, vector: u8) {
        let _ = vector;
    }

    /// Returns the devices that modules may drive; by default there are none.
    #[cfg(feature = "devices")]
    fn devices(&self) -> Option<&dyn bareflow_loader::DeviceBus> {
        None
    }

    /// Returns whether there is deferred work, which shall not wait for the running module's end. Asked at each tick.
    fn has_deferred_work(&self) -> bool {
        false
    }

    /// Does that work, on the kernel's stack, while the running call stands still. It may load, call and
    /// replace modules while [`may_run_modules`](crate::may_run_modules) returns true; after that there are no stacks.
    fn run_deferred_work(&self) {}
}

/// A source of ticks: interrupts of the vector [`TICK`](crate::timer::TICK), one each
/// [`TICK_US`](crate::timer::TICK_US).
pub trait Ticks: Sync {
    /// Starts the ticks, and returns whether there are any.
    fn start(&self) -> bool;

    /// Returns whether a tick arrived whose end was not signalled yet. Modules can raise the vector by `int`, too.
    fn is_in_service(&self) -> bool;

    /// Returns whether an interrupt of this vector arrived whose end was not signalled yet. Any device may send one, also in a
    /// kernel whose modules drive none: one that is taken for a module's `int` is the module's fault, and is never ended.
    fn is_vector_in_service(&self, vector: u8) -> bool;

    /// Signals the end of a tick, or of an interrupt.
    fn end_of_interrupt(&self);
}

static KERNEL: Once<(&'static dyn Kernel, &'static dyn Ticks)> = Once::new();

/// The address at which the kernel maps all physical memory.
static PHYSICAL_MAP: AtomicU64 = AtomicU64::new(0);

/// The bytes that the global allocator gave out, for receipts. A kernel that counts them counts them here.
pub static HEAP_BYTES: AtomicU64 = AtomicU64::new(0);

/// Sets the kernel and its ticks. Returns whether there was none.
pub fn install(kernel: &'static dyn Kernel, ticks: &'static dyn Ticks) -> bool {
    let mut is_first = false;
    KERNEL.call_once(|| {
        PHYSICAL_MAP.store(kernel.physical_map(), Ordering::Relaxed);
        is_first = true;
        (kernel, ticks)
    });
    is_first
}

/// Returns the address at which the kernel maps all physical memory.
///
/// # Panics
/// If there is no kernel yet.
pub fn physical_map() -> u64 {
    let map = PHYSICAL_MAP.load(Ordering::Relaxed);
    assert!(map != 0, "Contained::init comes first");
    map
}

/// Returns the kernel.
///
/// # Panics
/// If there is none: [`Contained::init`](crate::Contained::init) is the only way to all code that asks.
pub fn kernel() -> &'static dyn Kernel {
    KERNEL.get().expect("the kernel is set before anything else is done").0
}

/// Returns the kernel's ticks, once there is a kernel.
pub fn ticks() -> Option<&'static dyn Ticks> {
    KERNEL.get().map(|(_, ticks)| *ticks)
}

/// An observer of all calls and of the services that they use.
pub trait Observer: Sync {
    /// Notes the beginning of a call, with room for `capacity` bytes of output.
    fn begin_call(&self, module: &Name, reason: u32, input: &[u8], capacity: usize);

    /// Notes the end of the innermost running call.
    fn end_call(&self, done: Result<&TimedCall, &CallFailure>, output: &[u8]);

    /// Notes the beginning of a method's call by a frame.
    fn begin_method(&self, module: &Name, reason: u32, frame: &mut Frame<'_>);

    /// Notes the end of the innermost running call, which is a method's.
    fn end_method(&self, done: Result<&TimedReply, &CallFailure>, frame: &mut Frame<'_>);

    /// Notes that the running call calls a method of an import.
    fn begin_invoke(&self, import: u32, method: u32, frame: &mut Frame<'_>);

    /// Notes the reply that the running call was told, and what the method did to the frame.
    fn end_invoke(&self, reply: Reply, frame: &mut Frame<'_>);

    /// Notes what happened to a module besides its calls; by default does nothing.
    fn note_occurrence(&self, module: &Name, occurrence: Occurrence) {
        let _ = (module, occurrence);
    }

    /// Notes that the running call logged a line.
    fn note_log(&self, line: &[u8]);

    /// Notes the time that the running call was told.
    fn note_clock(&self, time: u64);

    /// Notes what the running call was told when it called another module: status, result and output.
    fn note_call(&self, name: &[u8], input: &[u8], capacity: usize, told: (u32, i32), output: &[u8]);
}

static OBSERVER: Mutex<Option<&'static dyn Observer>> = Mutex::new(None);

/// Whether there is an observer. Reading it is cheaper than the observer itself.
static IS_OBSERVED: AtomicBool = AtomicBool::new(false);

/// Another observer observes already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadyObserved;

/// Lets `observer` note all calls that begin from now on, and all services.
///
/// # Errors
/// [`AlreadyObserved`].
pub fn start_observing(observer: &'static dyn Observer) -> Result<(), AlreadyObserved> {
    let mut slot = OBSERVER.lock();
    if slot.is_some() {
        return Err(AlreadyObserved);
    }
    *slot = Some(observer);
    IS_OBSERVED.store(true, Ordering::Relaxed);
    Ok(())
}

/// Ends what [`start_observing`] began; the ends of calls that are running then are not noted.
pub fn stop_observing() {
    IS_OBSERVED.store(false, Ordering::Relaxed);
    *OBSERVER.lock() = None;
}

/// Returns whether there is an observer.
#[inline(always)]
pub fn is_observed() -> bool {
    IS_OBSERVED.load(Ordering::Relaxed)
}

/// Lets the observer, if there is one, note something.
#[inline(always)]
pub fn observe(note: impl FnOnce(&dyn Observer)) {
    if is_observed()
        && let Some(observer) = observer()
    {
        note(observer);
    }
}

/// Returns the observer. Its lock is free again when something is noted.
#[cold]
#[inline(never)]
fn observer() -> Option<&'static dyn Observer> {
    *OBSERVER.lock()
}
