//! The loader's [`Platform`] for an ordinary Linux process.
//!
//! ```text
//! memory.rs  stack.rs               where modules lie, and what they run on
//! thread_context.rs  trampoline.rs  activation.rs     a call, and what is known of it
//! services.rs  calls.rs  undeclared.rs   what modules may ask for
//! signals.rs  faults.rs             the end of a call that goes wrong
//! watchdog.rs  stopwatch.rs         and of one that takes too long
//! child.rs  process.rs              the user domain: a process for each image, as its parent sees it,
//! sandbox.rs  ground.rs  mappings.rs  seccomp.rs   as it is,
//! channel.rs  handoff.rs  message.rs  codec.rs and what the two share
//! clock.rs  cpu.rs                  the processor
//! ```
//!
//! This is the one crate for hosted systems that uses `unsafe`.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("bareflow-host runs modules in x86-64 Linux processes only");

mod activation;
mod calls;
mod channel;
mod child;
mod clock;
mod codec;
mod counters;
mod cpu;
mod faults;
mod ground;
mod handoff;
mod mappings;
mod memory;
mod message;
mod process;
mod sandbox;
mod seccomp;
mod services;
mod signals;
mod stack;
mod stopwatch;
#[cfg(test)]
mod tests;
mod thread_context;
mod trampoline;
mod undeclared;
mod watchdog;

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::marker::PhantomData;

use allocator_api2::alloc::Global;
use bareflow_abi::checksum::Crc32c;
use bareflow_loader::diagnosis::ServiceLog;
use bareflow_loader::{
    Call, CallError, Callees, Counters, Diagnosis, Domain, FastReturn, ImageSize, PeakUse, Placement, Platform,
    PlatformError, TimedCall,
};

use activation::{Activation, OptionalCallees};
use child::Child;
use counters::Counting;
pub use cpu::{cpu_level, cpu_name};
use memory::Arenas;
pub use memory::{Image, UnsealedImage};
use stack::Stack;
use thread_context::{LogSink, ThreadContext};
use undeclared::table_of;
use watchdog::WatchSlot;
use watchdog::budgets::Expected;

/// Where the lines go that modules log.
pub type Log = Box<dyn Fn(fmt::Arguments<'_>)>;

/// What tells modules the time instead of the processor.
pub type Clock = Box<dyn Fn() -> u64>;

/// This process, as the loader sees it. It stays on the thread it was made on,
/// whose signal stack it has set up.
pub struct HostPlatform {
    arenas: RefCell<Arenas>,
    thread: Box<ThreadContext>,
    cpu_level: u8,
    checksum: Crc32c,
    expected: Expected,
    /// Opened by whoever asks first; `None` where there are no counters.
    counting: OnceCell<Option<Counting>>,
    on_this_thread: PhantomData<*const ()>,
}

impl HostPlatform {
    /// The platform. Lines that modules log go to `log`.
    ///
    /// From then on the process handles the signals of faults, and `SIGVTALRM`; what
    /// faults outside of a module goes the way it went before.
    ///
    /// # Errors
    /// When the system does not let it reserve addresses or handle signals.
    pub fn new(log: Log) -> std::io::Result<HostPlatform> {
        HostPlatform::open(log, None)
    }

    /// The same, with a clock for the modules of the kernel domain; those of the user domain have the processor's.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_clock(log: Log, clock: Clock) -> std::io::Result<HostPlatform> {
        HostPlatform::open(log, Some(clock))
    }

    fn open(log: Log, clock: Option<Clock>) -> std::io::Result<HostPlatform> {
        signals::install()?;
        let (arenas, stack) = (Arenas::new()?, Stack::map()?);
        let thread = Box::new(ThreadContext {
            activation: Activation::inactive(),
            current: trampoline::current_call(),
            stack,
            watch_slot: WatchSlot::of_thread(),
            log_sink: LogSink::Log(log),
            clock,
            diagnosis: Cell::new(None),
            services: Cell::new(ServiceLog::EMPTY),
        });
        thread.bind_record();
        let arenas = RefCell::new(arenas);
        Ok(HostPlatform {
            arenas,
            thread,
            cpu_level: cpu_level(),
            checksum: Crc32c::detect(),
            expected: Expected::default(),
            counting: OnceCell::new(),
            on_this_thread: PhantomData,
        })
    }

    /// Calls a module in its own process: there and back, since what that measures would leave the way out.
    #[cold]
    fn call_child(
        &self,
        call: Call<'_, Image>,
        child: &Child,
        output: &mut [u8],
        callees: OptionalCallees<'_>,
    ) -> Result<TimedCall, CallError> {
        let (result, cycles) = call.timing.measure(self, || child.call(&call, output, &self.thread, callees));
        result.map(|outcome| TimedCall { outcome, cycles })
    }

    #[inline(never)]
    fn call_slow(&self, call: Call<'_, Image>, slow_result: &mut Result<TimedCall, CallError>) {
        *slow_result = self.call(&call, &mut []);
    }

    /// Takes an image's memory back.
    #[inline]
    fn take_back(&self, image: &Image) {
        if image.domain == Domain::Kernel {
            self.expected.forget(image.time_us);
        }
        self.arenas.borrow_mut().release(image);
    }
}

impl Platform for HostPlatform {
    const HAS_FAST_PATH: bool = true;
    type Alloc = Global;
    type WritableImage = UnsealedImage;
    type Image = Image;

    fn allocator(&self) -> Global {
        Global
    }

    fn offered_services(&self) -> u32 {
        services::OFFERED
    }

    fn cpu_level(&self) -> u8 {
        self.cpu_level
    }

    fn checksum(&self) -> Crc32c {
        self.checksum
    }

    fn has_domain(&self, _: Domain) -> bool {
        true
    }

    #[inline]
    fn allocate(&self, size: ImageSize, placement: &Placement) -> Result<UnsealedImage, PlatformError> {
        let stack_top = self.thread.stack.bottom() + u64::from(placement.budget.stack).min(stack::MAX_SIZE);
        let services = table_of(placement.services, &self.thread);
        let unsealed = self.arenas.borrow_mut().allocate(size, placement, stack_top, services)?;
        // In the user domain this thread watches the time itself.
        if placement.domain == Domain::Kernel && self.expected.expect(placement.budget.time_us).is_err() {
            self.arenas.borrow_mut().release(&unsealed.into_image());
            return Err(PlatformError { what: "start the watchdog's thread", bytes: 0 });
        }
        Ok(unsealed)
    }

    #[inline]
    fn seal(&self, unsealed: UnsealedImage) -> Result<Image, PlatformError> {
        if unsealed.is_shared() {
            return Ok(unsealed.seal_shared());
        }
        let sealed = match unsealed.seal() {
            Ok(image) => child::sandbox(image, &self.thread),
            Err(refused) => Err(refused),
        };
        sealed.map_err(|(image, error)| {
            self.take_back(&image);
            error
        })
    }

    #[inline]
    fn release(&self, image: Image) {
        self.take_back(&image);
    }

    #[inline(always)]
    fn clock(&self) -> u64 {
        clock::now()
    }

    #[inline(always)]
    fn clock_fenced(&self) -> u64 {
        clock::now_fenced()
    }

    #[inline(always)]
    fn call(&self, call: &Call<'_, Image>, output: &mut [u8]) -> Result<TimedCall, CallError> {
        match &call.image.child {
            None => trampoline::call(*call, output, &self.thread, None),
            Some(child) => self.call_child(*call, child, output, None),
        }
    }

    #[inline(always)]
    fn call_fast(&self, call: &Call<'_, Image>, slow_result: &mut Result<TimedCall, CallError>) -> Option<FastReturn> {
        // On a thread with one platform it stays so from the first call on.
        if self.thread.activation.is_free() {
            return trampoline::call_fast(call, &self.thread, slow_result);
        }
        self.call_slow(*call, slow_result);
        None
    }

    fn call_with_callees(
        &self,
        call: &Call<'_, Image>,
        output: &mut [u8],
        callees: &dyn Callees,
    ) -> Result<TimedCall, CallError> {
        match &call.image.child {
            None => trampoline::call(*call, output, &self.thread, Some(&callees)),
            Some(child) => self.call_child(*call, child, output, Some(&callees)),
        }
    }

    fn peak_use(&self, image: &Image) -> PeakUse {
        match &image.child {
            // All modules share a stack there.
            None => PeakUse { stack_bytes: None, heap_bytes: image.peak_heap() },
            Some(child) => child.peak_use(image, &self.thread),
        }
    }

    fn counters(&self) -> Option<Counters> {
        self.counting.get_or_init(|| Counting::start().ok()).as_ref()?.read()
    }

    fn diagnosis(&self) -> Option<Diagnosis> {
        self.thread.diagnosis.take()
    }
}
