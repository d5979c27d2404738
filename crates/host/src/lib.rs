//! The loader's [`Platform`] for an ordinary Linux process.
//!
//! ```text
//! memory/                                  memory of modules
//! call/                                    a call and its state, and the trampoline
//! services.rs                              services for modules
//! signals.rs  signal_mask.rs  faults.rs    the end of a call that faults
//! watchdog/  stopwatch.rs                  the end of a call that takes too long
//! child.rs  process.rs                     the user domain, parent's side: a process for each image
//! sandbox/  seccomp.rs                     the user domain, child's side
//! regions.rs  mapper/                      the user domain, memory that modules share
//! channel/                                 the user domain, shared by both sides
//! counters.rs  cpu.rs                      the processor
//! random.rs                                interfaces that the process provides
//! ```
//!
//! This is the only crate for hosted systems that uses `unsafe`.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("bareflow-host runs modules in x86-64 Linux processes only");

mod call;
mod channel;
mod child;
mod counters;
mod cpu;
mod faults;
mod mapper;
mod memory;
mod process;
mod random;
mod regions;
mod sandbox;
mod seccomp;
mod services;
mod signal_mask;
mod signals;
mod stopwatch;
mod store;
#[cfg(test)]
mod tests;
mod watchdog;

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Instant;

use allocator_api2::alloc::Global;
use bareflow_abi::checksum::Crc32c;
use bareflow_abi::interface::{Frame, Reply};
use bareflow_abi::memory::CANNOT_GROW;
use bareflow_loader::diagnosis::ServiceLog;
use bareflow_loader::{
    Call, CallFailure, Callees, Counters, Diagnosis, Domain, EventLimits, FastExit, FastReturn, ImageSize,
    LinearMemory, Name, PeakUse, Placement, Platform, PlatformError, RegionMemory, TimedCall, TimedReply,
};

use bareflow_runtime::clock;
use bareflow_runtime::services::OFFERED;
use bareflow_runtime::{Reach, Serializer};
use call::{Activation, LogSink, Stack, ThreadContext, code, trampoline};
use counters::Counting;
pub use cpu::{cpu_level, cpu_name, is_intel};
use memory::Arenas;
pub use memory::{Image, UnsealedImage};
use process::Child;
pub use random::SystemRandom;
use services::table_of;
pub use store::FolderStore;
use watchdog::WatchSlot;
use watchdog::budgets::Expected;

/// The destination of the lines that modules log.
pub type Log = Box<dyn Fn(fmt::Arguments<'_>)>;

/// The clock that modules read instead of the processor's.
pub type Clock = Box<dyn Fn() -> u64>;

/// This process as a platform. It stays on the thread it was made on, whose signal stack it has set up.
pub struct HostPlatform {
    arenas: RefCell<Arenas>,
    thread: Box<ThreadContext>,
    cpu_level: u8,
    checksum: Crc32c,
    serializer: Serializer,
    expected: Expected,
    /// The performance counters, opened on first use; `None` if there are none.
    counting: OnceCell<Option<Counting>>,
    on_this_thread: PhantomData<*const ()>,
}

impl HostPlatform {
    /// Makes the platform. Lines that modules log go to `log`.
    ///
    /// From then on, the process handles `SIGVTALRM` and the signals of faults. Faults outside of a module are handled
    /// as before.
    ///
    /// # Errors
    /// When the system does not allow reserving addresses or handling signals.
    pub fn new(log: Log) -> std::io::Result<HostPlatform> {
        HostPlatform::open(log, None)
    }

    /// Makes the platform with a clock for modules of the kernel domain; those of the user domain use the processor's.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_clock(log: Log, clock: Clock) -> std::io::Result<HostPlatform> {
        HostPlatform::open(log, Some(clock))
    }

    fn open(log: Log, clock: Option<Clock>) -> std::io::Result<HostPlatform> {
        signals::install()?;
        let (arenas, stack) = (Arenas::new()?, Stack::map()?);
        let thread = Box::new(ThreadContext {
            activation: Activation::inactive(),
            current: trampoline::current_call(),
            trampolines: code::fastest(),
            stack,
            watch_slot: WatchSlot::of_thread(),
            log_sink: LogSink::Log(log),
            clock,
            limits: Cell::new(None),
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
            serializer: Serializer::detect(),
            expected: Expected::default(),
            counting: OnceCell::new(),
            on_this_thread: PhantomData,
        })
    }

    /// Calls a module in its own process. The whole round trip is timed, since the child's own timing would leave out
    /// the transfer.
    #[cold]
    fn call_child(
        &self,
        call: Call<'_, Image>,
        child: &Child,
        output: &mut [u8],
        callees: Option<&dyn Callees>,
    ) -> Result<TimedCall, CallFailure> {
        let (result, cycles) = call.timing().measure(self, || child.call(&call, output, &self.thread, callees));
        result.map(|outcome| TimedCall { outcome, cycles })
    }

    /// Calls a method in this process, where the module reaches the caller's memory.
    fn call_method_in_place(
        &self,
        call: &Call<'_, Image>,
        frame: &mut Frame<'_>,
        callees: Option<&dyn Callees>,
    ) -> Result<TimedReply, CallFailure> {
        let (reach, mut cycles) = (Reach { callees, shape: frame.shape() }, 0);
        let reply = frame.call_in_place(|input, output| {
            let done = trampoline::call(call.with_input(input), output, &self.thread, Some(&reach))?;
            cycles = done.cycles;
            Ok::<_, CallFailure>(done.outcome.result)
        })?;
        Ok(TimedReply { reply, cycles })
    }

    /// Takes back an image's memory.
    #[inline]
    fn take_back(&self, image: &Image) {
        if image.domain == Domain::Kernel {
            self.expected.forget(image.time_us);
        }
        self.arenas.borrow_mut().release(image);
    }
}

/// The error of a region of so many bytes.
const fn not_shared(bytes: u64) -> PlatformError {
    PlatformError { what: "share memory", bytes: bytes as usize }
}

// SAFETY: the points of the contract are kept by
// - memory of an image, zeroed, with its permissions and heap: `memory/`; the stack: `call/stack.rs`; the table of
//   services: `services.rs`;
// - text that the processor executes once `seal` returns: `seal` serialises, and a process starts
//   with the text of dedicated pages;
// - the processor's level: `cpu.rs`;
// - the processor's state after a call: `call/trampoline.rs`, `call/code.rs`, and after a fault or a call that takes too long
//   `signals.rs` and `watchdog/`;
// - the confinement of the user domain: `sandbox/` and `seccomp.rs`, with `mapper/` for regions; `call_fast` never enters it;
// - input, output and callees of a call alone: `call/activation/`, which forgets them at its end, and `child.rs`.
unsafe impl Platform for HostPlatform {
    const HAS_FAST_PATH: bool = true;
    type Alloc = Global;
    type WritableImage = UnsealedImage;
    type Image = Image;

    fn allocator(&self) -> Global {
        Global
    }

    fn offered_services(&self) -> u32 {
        OFFERED
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
        let stack_top = self.thread.stack.top(placement.budget.stack_bytes);
        let told = self.thread.clock.is_some() && placement.domain == Domain::Kernel;
        let services = table_of(placement.services, told);
        let unsealed = self.arenas.borrow_mut().allocate(size, placement, stack_top, services)?;
        // In the user domain, the calling thread itself checks the time limit.
        if placement.domain == Domain::Kernel && self.expected.expect(placement.budget.time_us).is_err() {
            self.arenas.borrow_mut().release(&unsealed.into_image());
            return Err(PlatformError { what: "start the watchdog's thread", bytes: 0 });
        }
        Ok(unsealed)
    }

    fn allocate_with_memory(
        &self,
        size: ImageSize,
        placement: &Placement,
        memory: &LinearMemory,
    ) -> Result<UnsealedImage, PlatformError> {
        self.allocate(size, placement)?.with_memory(memory).map_err(|unsealed| {
            self.take_back(&unsealed.into_image());
            PlatformError { what: "map a linear memory", bytes: memory.initial_bytes() as usize }
        })
    }

    fn grow_memory(&self, image: &Image, pages: u64) -> u64 {
        let Some(window) = &image.window else { return CANNOT_GROW };
        let before = window.grow(pages);
        if before != CANNOT_GROW {
            match &image.child {
                None => image.write_memory_size(),
                Some(child) => child.tell_memory_size(window.bytes()),
            }
        }
        before
    }

    #[inline]
    fn seal(&self, unsealed: UnsealedImage) -> Result<Image, PlatformError> {
        if unsealed.is_shared() {
            self.serializer.serialize();
            return Ok(unsealed.into_image());
        }
        let regions = match unsealed.shares_regions().then(|| self.arenas.borrow_mut().regions().map(|all| all.file()))
        {
            None => None,
            Some(Ok(file)) => Some(file),
            Some(Err(_)) => {
                self.take_back(&unsealed.into_image());
                return Err(not_shared(0));
            }
        };
        let sealed = match unsealed.seal() {
            Ok(image) => child::sandbox(image, &self.thread, regions),
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

    fn call_within<T>(&self, limits: EventLimits, call: impl FnOnce() -> T) -> T {
        // The watchdog looks at calls often enough for the smallest budget that is expected.
        let is_expected = self.expected.expect(limits.own_us).is_ok();
        let outer = self.thread.limits.replace(Some(limits));
        let done = call();
        self.thread.limits.set(outer);
        if is_expected {
            self.expected.forget(limits.own_us);
        }
        done
    }

    fn microseconds(&self) -> Option<u64> {
        static START: OnceLock<Instant> = OnceLock::new();
        Some(u64::try_from(START.get_or_init(Instant::now).elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn reach(&self, image: &Image, address: u64, length: u64, look: &mut dyn FnMut(&mut [u8])) -> bool {
        if let Some(window) = &image.window
            && window.contains(address, length)
        {
            return match &image.child {
                None => window.reach(address, length, look),
                Some(_) => window.reach_by_copy(address, length, look),
            };
        }
        if !image.has_data(address, length) {
            return false;
        }
        match &image.child {
            None => image.reach(address, length, look),
            Some(child) => child.reach(address, length, look),
        }
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
    fn call(&self, call: &Call<'_, Image>, output: &mut [u8]) -> Result<TimedCall, CallFailure> {
        match &call.image().child {
            None => trampoline::call(*call, output, &self.thread, None),
            Some(child) => self.call_child(*call, child, output, None),
        }
    }

    #[inline(always)]
    fn call_fast(&self, call: &Call<'_, Image>) -> Result<FastReturn, FastExit> {
        // On a thread with one platform, the activation stays free from the first call on.
        if self.thread.activation.is_free() && call.image().child.is_none() {
            return trampoline::call_fast(call, &self.thread);
        }
        Err(FastExit::NOT_CALLED)
    }

    fn finish_fast(&self, call: &Call<'_, Image>, exit: FastExit) -> Result<TimedCall, CallFailure> {
        if exit == FastExit::NOT_CALLED {
            return self.call(call, &mut []);
        }
        trampoline::decode_return(exit.code, exit.returned, &self.thread.activation)
    }

    fn call_with_callees(
        &self,
        call: &Call<'_, Image>,
        output: &mut [u8],
        callees: &dyn Callees,
    ) -> Result<TimedCall, CallFailure> {
        match &call.image().child {
            None => trampoline::call(*call, output, &self.thread, Some(&Reach::of(callees))),
            Some(child) => self.call_child(*call, child, output, Some(callees)),
        }
    }

    fn call_method(
        &self,
        call: &Call<'_, Image>,
        frame: &mut Frame<'_>,
        callees: Option<&dyn Callees>,
    ) -> Result<TimedReply, CallFailure> {
        let Some(child) = &call.image().child else { return self.call_method_in_place(call, frame, callees) };
        let (reply, cycles) = call.timing().measure(self, || child.call_method(call, frame, &self.thread, callees));
        Ok(TimedReply { reply: reply?, cycles })
    }

    fn has_regions(&self, _: Domain) -> bool {
        true
    }

    fn allocate_region(&self, pages: u32) -> Result<RegionMemory, PlatformError> {
        let mut arenas = self.arenas.borrow_mut();
        let memory = arenas.regions().and_then(|regions| regions.allocate(pages));
        memory.map_err(|_| not_shared(RegionMemory { address: 0, pages }.bytes()))
    }

    fn free_region(&self, memory: RegionMemory) {
        // There is an arena, since the region came from it.
        if let Ok(regions) = self.arenas.borrow_mut().regions() {
            regions.free(&memory);
        }
    }

    /// In the kernel domain, all regions are mapped for all.
    fn map_region(&self, memory: &RegionMemory, image: &Image, is_writable: bool) -> Result<u64, PlatformError> {
        let failed = || not_shared(memory.bytes());
        if let Some(child) = &image.child {
            let offset = self.arenas.borrow_mut().regions().map_err(|_| failed())?.offset(memory);
            child.map_region(memory, offset, is_writable).ok_or_else(failed)?;
        }
        Ok(memory.address)
    }

    fn unmap_region(&self, memory: &RegionMemory, image: &Image) {
        if let Some(child) = &image.child {
            child.unmap_region(memory);
        }
    }

    /// Ends a panic, so that it does not unwind through the module.
    fn call_provider(&self, name: &Name, call: impl FnOnce() -> Reply) -> Option<Reply> {
        let reply = catch_unwind(AssertUnwindSafe(call)).ok();
        if let (None, LogSink::Log(log)) = (reply, &self.thread.log_sink) {
            log(format_args!("[ERROR] provider {name} panicked; it is not called again"));
        }
        reply
    }

    fn peak_use(&self, image: &Image) -> PeakUse {
        match &image.child {
            // All modules of the kernel domain share a stack.
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
