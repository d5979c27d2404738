//! The interface to the kernel or process that embeds the loader: memory for code and for tables, a clock, and calls.
//!
//! An embedder implements [`Platform`] once. The loader itself contains no `unsafe`: all code that touches memory or
//! hardware is on the platform's side.

mod call;
mod capabilities;
mod clock_cost;
#[cfg(feature = "devices")]
mod devices;
mod linear_memory;
mod occurrence;
mod outcome;
pub mod range_allocator;
mod region;

use allocator_api2::alloc::Allocator;
use bareflow_abi::checksum::Crc32c;
use bareflow_abi::interface::{Frame, Reply};
use bareflow_abi::memory::CANNOT_GROW;

use crate::diagnosis::Diagnosis;
pub use crate::error::PlatformError;
pub use crate::format::segments::ImageSize;
use crate::name::Name;
use crate::policy::{Domain, EventLimits, Placement};
use crate::profile::Usage;
use crate::profile::counters::Counters;
use crate::profile::peak::PeakUse;
pub use call::{Call, Callees, MAX_DEPTH};
#[cfg(feature = "devices")]
pub use devices::{DeviceBus, DeviceFacts, Reach};
pub use linear_memory::LinearMemory;
pub use occurrence::Occurrence;
pub use outcome::{CallFailure, CallOutcome, FastExit, FastReturn, TimedCall, TimedReply};
pub use region::RegionMemory;

/// An image's memory while the loader fills it: zeroed, writable, never executable.
///
/// The segments lie at [`bareflow_abi::layout`]'s distances from [`base`](WritableImage::base).
pub trait WritableImage {
    /// Returns the address that the image is linked against: that of its text, once sealed.
    fn base(&self) -> u64;
    /// Returns text, read-only data and writable data, with the lengths given by [`ImageSize`].
    fn segments(&mut self) -> [&mut [u8]; 3];
    /// Returns the address of the linear memory, as the module sees it; 0 if the image has none.
    #[inline(always)]
    fn memory_base(&self) -> u64 {
        0
    }
    /// Prepares the image for [regions](Platform::has_regions), before it is sealed, if it `imports_them`. By default does
    /// not ask, and nothing is to be prepared.
    #[inline(always)]
    fn prepare_regions(&mut self, imports_them: impl FnOnce() -> bool)
    where
        Self: Sized,
    {
        let _ = imports_them;
    }
}

/// The environment of a [`ModuleManager`](crate::ModuleManager).
///
/// Seven methods have no default; they suffice for modules that only compute. The [front page](crate) lists the
/// required processor state, the traps to contain, and how a module panics.
///
/// | feature | override |
/// |---|---|
/// | modules that log, read the clock or call others | [`offered_services`](Self::offered_services), [`call_with_callees`](Self::call_with_callees) |
/// | ring 3 | [`has_domain`](Self::has_domain) |
/// | fast loads | [`checksum`](Self::checksum): [`Crc32c::detect`], once |
/// | code for newer processors | [`cpu_level`](Self::cpu_level) |
/// | fast calls | [`HAS_FAST_PATH`](Self::HAS_FAST_PATH), [`call_fast`](Self::call_fast), [`finish_fast`](Self::finish_fast) |
/// | receipts with figures | [`image_usage`](Self::image_usage), [`usage`](Self::usage) |
/// | what a panic said | [`diagnosis`](Self::diagnosis) |
/// | delayed restarts, fallback | [`microseconds`](Self::microseconds) |
/// | panics in the embedder's own interfaces | [`call_provider`](Self::call_provider) |
/// | traces | [`trace`](Self::trace) |
/// | modules with a linear memory | [`allocate_with_memory`](Self::allocate_with_memory), [`grow_memory`](Self::grow_memory) |
/// | memory that modules share | [`has_regions`](Self::has_regions), and the four methods behind it |
/// | modules that drive devices | `device_bus`, of the feature `devices` |
///
/// A platform for a process, without containment:
///
/// ```
/// use std::arch::x86_64::{_mm_lfence, _rdtsc};
///
/// use bareflow_abi::{Context, EntryFn, Services, layout::IMAGE_SPAN};
/// use bareflow_loader::allocator_api2::alloc::Global;
/// use bareflow_loader::{
///     Call, CallFailure, CallOutcome, ImageSize, KernelDomain, ModuleManager, Placement, Platform, PlatformError, Segments,
///     TimedCall, Timing, WritableImage,
/// };
///
/// struct Process;
/// struct Image(Segments);
///
/// impl WritableImage for Image {
///     fn base(&self) -> u64 {
///         self.0.base
///     }
///     fn segments(&mut self) -> [&mut [u8]; 3] {
///         // SAFETY: `allocate` mapped the span for this image alone, and the segments lie apart.
///         self.0.all().map(|(start, bytes)| unsafe { std::slice::from_raw_parts_mut(start as *mut u8, bytes) })
///     }
/// }
///
/// // SAFETY: each image has a mapping of its own; modules are trusted functions of the System V interface.
/// unsafe impl Platform for Process {
///     type Alloc = Global;
///     type WritableImage = Image;
///     type Image = Image;
///
///     fn allocator(&self) -> Global {
///         Global
///     }
///     fn allocate(&self, size: ImageSize, placement: &Placement) -> Result<Image, PlatformError> {
///         let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
///         // SAFETY: this is a new mapping.
///         let base = unsafe {
///             libc::mmap(std::ptr::null_mut(), IMAGE_SPAN as usize, access, kind | libc::MAP_NORESERVE, -1, 0)
///         };
///         match base {
///             libc::MAP_FAILED => Err(PlatformError { what: "map an image", bytes: IMAGE_SPAN as usize }),
///             _ => Ok(Image(Segments { base: base as u64, size, heap_bytes: placement.budget.heap_bytes })),
///         }
///     }
///     fn seal(&self, image: Image) -> Result<Image, PlatformError> {
///         let [text, rodata, _] = image.0.all();
///         for ((start, bytes), access) in [(text, libc::PROT_READ | libc::PROT_EXEC), (rodata, libc::PROT_READ)] {
///             // SAFETY: the loader has finished writing to these pages of the image's own mapping.
///             if unsafe { libc::mprotect(start as *mut _, bytes, access) } != 0 {
///                 self.release(image);
///                 return Err(PlatformError { what: "protect an image", bytes });
///             }
///         }
///         Ok(image)
///     }
///     fn release(&self, image: Image) {
///         // SAFETY: no one uses the image any more.
///         unsafe { libc::munmap(image.0.base as *mut _, IMAGE_SPAN as usize) };
///     }
///     fn clock(&self) -> u64 {
///         // SAFETY: every x86-64 processor has the instruction.
///         unsafe { _rdtsc() }
///     }
///     fn clock_fenced(&self) -> u64 {
///         // SAFETY: the same.
///         unsafe { _mm_lfence() };
///         self.clock()
///     }
///     fn call(&self, call: &Call<'_, Image>, output: &mut [u8]) -> Result<TimedCall, CallFailure> {
///         let capacity = output.len();
///         let mut context = Context::new(&Services::NONE, call.input(), output);
///         // SAFETY: the loader has validated the entry, and placed and sealed its code.
///         let entry: EntryFn = unsafe { std::mem::transmute(call.entry() as *const ()) };
///         // SAFETY: the manager's `KernelDomain` vouches for what the code does.
///         let run = || unsafe { entry(&mut context, call.reason()) };
///         let (result, cycles) = call.timing().measure(self, run);
///         let output_length = context.output_length().min(capacity);
///         Ok(TimedCall { outcome: CallOutcome { result, output_length }, cycles })
///     }
/// }
///
/// # let counter = include_bytes!("../../../../tests/golden/abi-1.2/counter.mod");
/// // SAFETY: the blob is our own.
/// let manager = ModuleManager::with_kernel_domain(Process, Timing::Fast, unsafe { KernelDomain::trust_all_blobs() });
/// let counter = manager.load(counter).unwrap();
/// assert_eq!([manager.execute(counter), manager.execute(counter)], [Ok(1), Ok(2)]);
/// ```
///
/// Calls nest up to [`MAX_DEPTH`] deep: a module may call others, and a load, replacement or unload during a call calls
/// `init`, `exit` or the state's handlers. So a platform keeps its per-call data for each call, and restores the outer
/// call's data when the inner one ends, after a fault as well. It holds no lock while module code runs, since a fault
/// skips the code that would release it.
///
/// # Safety
/// The loader is safe code that runs native code by these methods, and modules are compiled in reliance on them. An
/// implementation guarantees that
/// - the memory of an image belongs to no one else from [`allocate`](Self::allocate) to [`release`](Self::release), and
///   [`WritableImage::base`] is where [`seal`](Self::seal) makes its segments visible, with no other permissions than
///   said there;
/// - `allocate` gives zeroed memory, in which nothing of an earlier module is left, and the stack, the heap and the table
///   of services that `placement` names, or refuses. The budget may be any, not only one of
///   [`Budget::of`](crate::Budget::of): a stack is aligned and ends at an unmapped page even if it is cut to what there is;
/// - `refill` leaves nothing in the image of what was there, and gives `fill` and the processor what `allocate` and `seal` do;
/// - `seal` returns only when the processor will execute the new text, and nothing older, at its addresses;
/// - [`cpu_level`](Self::cpu_level) and [`offered_services`](Self::offered_services) name only what works during a call;
/// - `call`, `call_fast` with `finish_fast`, `call_with_callees` and `call_method` return with all state of the processor that
///   compiled code relies on, whatever the module did to registers and flags, and whether it returned, faulted or ran too long;
/// - a module in the user domain accesses only its own image and the call's input and output, and runs no code but its
///   own;
/// - the input is read only, and only `output`, at its length, and the memory that a frame lends to be written are written;
/// - the memory of a region belongs to no one else from `allocate_region` to `free_region`, and a module reaches it at the
///   address that `map_region` returned until `unmap_region`, if not longer;
/// - `call_provider` calls what it gets once, and returns its reply, or `None` if it did not return;
/// - `callees` is used only during the call it was passed to, and only by that call's thread.
#[expect(unsafe_code, reason = "declares a contract")]
pub unsafe trait Platform {
    /// The allocator of the loader's own tables.
    type Alloc: Allocator + Clone;
    /// The memory of an image that is being filled.
    type WritableImage: WritableImage;
    /// The memory of an image that can be called: text read and execute, rodata read only, data read and write.
    type Image;

    /// Returns the allocator of the loader's tables.
    ///
    /// It implements the trait of the crate `allocator-api2`, in the version that the loader uses.
    fn allocator(&self) -> Self::Alloc;

    /// Returns the services that modules are given, as `SERVICE_*` bits of [`bareflow_abi::header`]; by default none.
    ///
    /// A blob that declares any other service is refused.
    fn offered_services(&self) -> u32 {
        0
    }

    /// Returns the x86-64 level (1 to 4) that processor and kernel let modules use.
    ///
    /// By default that is the level of every x86-64 processor.
    ///
    /// The platform must have enabled the state of the vector units that the level needs (CR4.OSXSAVE, XCR0).
    fn cpu_level(&self) -> u8 {
        1
    }

    /// Returns the implementation of checksums; by default a slow one that runs on every processor.
    fn checksum(&self) -> Crc32c {
        Crc32c::SOFTWARE
    }

    /// Returns whether modules can run in `domain`; by default only in the kernel domain.
    fn has_domain(&self, domain: Domain) -> bool {
        domain == Domain::Kernel
    }

    /// Allocates zeroed memory for an image that runs as `placement` says, with its stack and heap.
    ///
    /// The platform provides all of `placement`: a stack of `budget.stack_bytes` above an unmapped page, a heap of
    /// `budget.heap_bytes` that stays with the image, an end for calls that take longer than `budget.time_us`, and a
    /// table with exactly the services it names. Images may interleave: see
    /// [`Segments::pages`](crate::Segments::pages).
    ///
    /// # Errors
    /// There is not enough memory.
    fn allocate(&self, size: ImageSize, placement: &Placement) -> Result<Self::WritableImage, PlatformError>;

    /// Allocates an image as [`allocate`](Self::allocate) does, with a linear memory: zeroed, at the start of addresses which
    /// all fault that are not memory, so many as `memory` says.
    ///
    /// The platform serves `grow` to it, and keeps the size that is in the image's words
    /// ([`MemoryRecord`](bareflow_abi::memory::MemoryRecord)). A fault in the addresses beyond the memory is a
    /// [`WasmOutOfBoundsMemoryAccess`](crate::FaultKind::WasmOutOfBoundsMemoryAccess). [`refill`](Self::refill) makes the
    /// memory what it was at first.
    ///
    /// # Errors
    /// There is not enough memory; by default there are no linear memories.
    fn allocate_with_memory(
        &self,
        size: ImageSize,
        placement: &Placement,
        memory: &LinearMemory,
    ) -> Result<Self::WritableImage, PlatformError> {
        let _ = (size, placement, memory);
        Err(PlatformError { what: "give modules a linear memory", bytes: 0 })
    }

    /// Adds pages to the linear memory of an image of which no call is running, as the service `grow` does. Returns the
    /// number of pages before, or [`CANNOT_GROW`](bareflow_abi::memory::CANNOT_GROW); by default that.
    fn grow_memory(&self, image: &Self::Image, pages: u64) -> u64 {
        let _ = (image, pages);
        CANNOT_GROW
    }

    /// Gives each segment its final permission.
    ///
    /// No remaining alias may be both writable and executable. An image that can't be sealed is released.
    ///
    /// Text that was written through another address may run only after the processor has executed a serialising
    /// instruction (Intel SDM volume 3, Handling Self- and Cross-Modifying Code).
    ///
    /// # Errors
    /// Memory for page tables ran out.
    fn seal(&self, image: Self::WritableImage) -> Result<Self::Image, PlatformError>;

    /// Frees an image that no code runs in any more. The next image at the same address must find zeros.
    fn release(&self, image: Self::Image);

    /// Makes an image for segments of `size`, in which no code runs any more, what [`allocate`](Self::allocate) gave, lets
    /// `fill` fill it, and seals it again, all without any memory. Returns whether it did.
    ///
    /// So a module that faulted is restarted when no memory is left. By default nothing happens, and the module gets another
    /// image; `fill` is not called then, nor if the image is of another size.
    fn refill(&self, image: &mut Self::Image, size: ImageSize, fill: impl FnOnce(&mut dyn WritableImage)) -> bool {
        let _ = (image, size, fill);
        false
    }

    /// Returns the microseconds since some point in the past, which never decrease; by default `None`.
    ///
    /// Without it, modules with timers and other events are refused, and loads whose policy delays restarts. It may be coarse: the timers of modules are then, too.
    fn microseconds(&self) -> Option<u64> {
        None
    }

    /// Makes `call`, the call of an event's handler, within `limits`: the handler's call and those that it makes.
    ///
    /// A call ends at its own budget, too. By default there are no other limits.
    fn call_within<T>(&self, limits: EventLimits, call: impl FnOnce() -> T) -> T {
        let _ = limits;
        call()
    }

    /// Makes `call`, which is not the running handler's but the loader's own, such as that of a restarted module's `init`. The
    /// limits of [`call_within`](Self::call_within) do not hold for it, and its time is none of the handler's.
    ///
    /// By default it is made, as is right where no limits are in force between the handler's call and its end.
    fn call_apart<T>(&self, call: impl FnOnce() -> T) -> T {
        call()
    }

    /// Reads the cycle clock without ordering: cheap, and a few instructions early or late.
    fn clock(&self) -> u64;

    /// Reads the cycle clock after all earlier instructions have completed.
    fn clock_fenced(&self) -> u64;

    /// Calls a module with a [`Context`](bareflow_abi::Context) that holds the call's input and `output`.
    ///
    /// The clock is read right before and right after the call itself, so that the platform's preparations are not
    /// counted as the module's.
    ///
    /// The entry is an [`EntryFn`](bareflow_abi::EntryFn). A module may change every register, and may write any number
    /// as the context's output length: the platform saves the registers it needs, and limits the length. A module with
    /// a heap gets it in each call's context, at the same address ([`with_heap`](bareflow_abi::Context::with_heap)).
    ///
    /// # Errors
    /// The fault that ended the call, or a lack of memory for it.
    fn call(&self, call: &Call<'_, Self::Image>, output: &mut [u8]) -> Result<TimedCall, CallFailure>;

    /// Whether the platform has a fast path, [`call_fast`](Self::call_fast); by default it has none.
    const HAS_FAST_PATH: bool = false;

    /// Calls a module in the kernel domain without input, output and callees, on the fast path.
    ///
    /// The loader calls it only if `HAS_FAST_PATH`, and never for an image of the user domain.
    ///
    /// # Errors
    /// The call was not made, or left the fast path: [`finish_fast`](Self::finish_fast) is called with this at once.
    #[inline(always)]
    fn call_fast(&self, call: &Call<'_, Self::Image>) -> Result<FastReturn, FastExit> {
        let _ = call;
        Err(FastExit::NOT_CALLED)
    }

    /// Finishes a call that was not made by [`call_fast`](Self::call_fast), or left the fast path there.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    fn finish_fast(&self, call: &Call<'_, Self::Image>, exit: FastExit) -> Result<TimedCall, CallFailure> {
        let _ = exit;
        self.call(call, &mut [])
    }

    /// Calls a module that may call others: its calls of the service `call` go to `callees`.
    ///
    /// By default the service is missing, and `callees` is ignored. `callees` is valid until the call ends. It calls
    /// this platform again, for another image.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    fn call_with_callees(
        &self,
        call: &Call<'_, Self::Image>,
        output: &mut [u8],
        callees: &dyn Callees,
    ) -> Result<TimedCall, CallFailure> {
        let _ = callees;
        self.call(call, output)
    }

    /// Calls a method: a function whose arguments are in `frame`. The call's input is not used.
    ///
    /// By default the module reaches the memory of the caller by its address, as it can in the kernel domain. A platform
    /// with a user domain [packs](Frame::pack) the frame for its modules. `callees` is as for
    /// [`call_with_callees`](Self::call_with_callees).
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    fn call_method(
        &self,
        call: &Call<'_, Self::Image>,
        frame: &mut Frame<'_>,
        callees: Option<&dyn Callees>,
    ) -> Result<TimedReply, CallFailure> {
        let mut cycles = 0;
        let reply = frame.call_in_place(|input, output| {
            let call = Call { input, ..*call };
            let done = match callees {
                None => self.call(&call, output),
                Some(callees) => self.call_with_callees(&call, output, callees),
            }?;
            cycles = done.cycles;
            Ok::<_, CallFailure>(done.outcome.result)
        })?;
        Ok(TimedReply { reply, cycles })
    }

    /// Calls a provider of the embedder on behalf of a module: calls `call`, once.
    ///
    /// A platform that can end a panic returns `None` after one, and the module's call is
    /// [`Faulted`](bareflow_abi::interface::CallError::Faulted), as are all later ones of that provider. By default a
    /// panic is what it is elsewhere in the embedder.
    #[inline(always)]
    fn call_provider(&self, name: &Name, call: impl FnOnce() -> Reply) -> Option<Reply> {
        let _ = name;
        Some(call())
    }

    /// Returns whether modules in `domain` can share regions of memory; by default they can't.
    fn has_regions(&self, domain: Domain) -> bool {
        let _ = domain;
        false
    }

    /// Allocates zeroed memory of whole pages, which is mapped for no module.
    ///
    /// # Errors
    /// There is not enough memory; by default there is none.
    fn allocate_region(&self, pages: u32) -> Result<RegionMemory, PlatformError> {
        Err(PlatformError { what: "share memory", bytes: RegionMemory { address: 0, pages }.bytes() as usize })
    }

    /// Frees the memory of a region, which is mapped for no module any more.
    fn free_region(&self, memory: RegionMemory) {
        let _ = memory;
    }

    /// Maps a region for the module of `image`, to be read, or written as well. Returns its address there.
    ///
    /// # Errors
    /// Memory for page tables ran out, and nothing is mapped; by default always.
    fn map_region(&self, memory: &RegionMemory, image: &Self::Image, is_writable: bool) -> Result<u64, PlatformError> {
        let _ = (image, is_writable);
        Err(PlatformError { what: "map shared memory", bytes: memory.bytes() as usize })
    }

    /// Unmaps a region for the module of `image`.
    ///
    /// In a domain with an address space of its own, the module's next access is a fault, even if a call of it is running.
    fn unmap_region(&self, memory: &RegionMemory, image: &Self::Image) {
        let _ = (memory, image);
    }

    /// Returns the devices that modules may drive; by default there are none.
    #[cfg(feature = "devices")]
    fn device_bus(&self) -> Option<&dyn DeviceBus> {
        None
    }

    /// Passes `length` bytes of an image's data, bss or linear memory at `address`, as its module sees it, to `look`, in order and in as many
    /// pieces as it takes, each of whole 8 bytes but for the first and the last. Returns whether all of them lie there.
    ///
    /// No call of the image is running. By default nothing can be reached.
    fn reach(&self, image: &Self::Image, address: u64, length: u64, look: &mut dyn FnMut(&mut [u8])) -> bool {
        let _ = (image, address, length, look);
        false
    }

    /// Returns the memory of an image, counted as [`usage`](Self::usage) counts it.
    fn image_usage(&self, image: &Self::Image) -> Usage {
        let _ = image;
        Usage::default()
    }

    /// Returns the memory of all images and of all that [`allocator`](Self::allocator) gave out.
    ///
    /// `None` if it is not counted.
    fn usage(&self) -> Option<Usage> {
        None
    }

    /// Returns the peak stack and heap use of an image's calls; nothing by default.
    ///
    /// Called rarely, and never during a call of the image. A platform that does not keep track may scan the memory
    /// ([`PeakUse::of_stack`], [`PeakUse::of_heap`]).
    fn peak_use(&self, image: &Self::Image) -> PeakUse {
        let _ = image;
        PeakUse::default()
    }

    /// Returns the processor's event counts, of this thread or in total.
    ///
    /// `None` if there are none, or if they may not be read.
    fn counters(&self) -> Option<Counters> {
        None
    }

    /// Notes what happened to a module besides its calls; by default does nothing.
    #[inline(always)]
    fn trace(&self, module: &Name, occurrence: Occurrence) {
        let _ = (module, occurrence);
    }

    /// Returns the diagnosis of the last fault. Called right after the fault, and at no other time.
    fn diagnosis(&self) -> Option<Diagnosis> {
        None
    }
}
