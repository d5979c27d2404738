//! What the loader asks of the kernel or process it runs in: memory for code
//! and for its own tables, a clock, and the actual call.
//!
//! An embedder implements [`Platform`] once. The loader itself contains no
//! `unsafe`: whatever touches memory or hardware is on the other side.

use core::fmt;

use allocator_api2::alloc::Allocator;
use bareflow_abi::checksum::Crc32c;
use bareflow_abi::{CallRefusal, Reason};

use crate::counters::Counters;
use crate::diagnosis::Diagnosis;
use crate::fault::Fault;
use crate::name::Name;
use crate::peak::PeakUse;
use crate::policy::{Domain, Placement};
use crate::profile::Timing;

/// The sizes of one image's segments, in bytes, as validation accepted them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSize {
    /// Bytes of text; at least 1.
    pub text: u32,
    /// Bytes of read-only data.
    pub rodata: u32,
    /// Bytes of writable data, bss included.
    pub data: u32,
    /// What every segment's start is aligned to: a power of two, 4096 at the most.
    pub alignment: u32,
}

/// An image's memory while the loader fills it: zeroed, writable, never executable.
///
/// The segments lie at [`bareflow_abi::layout`]'s distances from [`base`](WritableImage::base).
pub trait WritableImage {
    /// The address the image is linked against: that of its text, once sealed.
    fn base(&self) -> u64;
    /// Text, read-only data and writable data, as long as [`ImageSize`] said.
    fn segments(&mut self) -> [&mut [u8]; 3];
}

/// One call into a module.
#[derive(Debug)]
pub struct Call<'call, Image> {
    /// The module's name, for messages.
    pub module: &'call Name,
    /// The sealed image.
    pub image: &'call Image,
    /// The entry's address: validated to lie in the image's text.
    pub entry: u64,
    /// What the module is called for.
    pub reason: Reason,
    /// The bytes it is given.
    pub input: &'call [u8],
    /// How the clock is read around the call: see [`Timing::measure`].
    pub timing: Timing,
    /// Whether the platform is to look at all that a module must preserve. Else it may put right unseen what takes
    /// long to look at.
    pub check_abi: bool,
}

// Copies are made where a call leaves the fast path: so that one need not write it to memory.
impl<Image> Clone for Call<'_, Image> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Image> Copy for Call<'_, Image> {}

/// The modules that the one may call which is being called: what its platform's service `call` asks.
pub trait Callees {
    /// Calls the module of that name.
    ///
    /// # Errors
    /// Why there is no result.
    fn call(&self, name: &[u8], input: &[u8], output: &mut [u8]) -> Result<CallOutcome, CallRefusal>;
}

/// How many calls may lie in each other, the outermost included: a platform that offers the service `call` has
/// that many stacks.
pub const MAX_DEPTH: usize = 5;

/// A call that returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallOutcome {
    /// What the module returned.
    pub result: i32,
    /// How many bytes of output it says it wrote: never more than there was room for.
    pub output_length: usize,
}

/// What a platform says of a call that returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedCall {
    /// What came of it.
    pub outcome: CallOutcome,
    /// Cycles between the readings of the clock right before and right behind it.
    pub cycles: u64,
}

/// What a platform says of a call without input and output that returned: it fits into registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastReturn {
    /// What the module returned.
    pub result: i32,
    /// As [`TimedCall::cycles`].
    pub cycles: u64,
}

/// Why a call did not return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The module went wrong.
    Fault(Fault),
    /// There was no memory for the call's input and output in the module's domain.
    NoMemory,
}

impl From<Fault> for CallError {
    fn from(fault: Fault) -> CallError {
        CallError::Fault(fault)
    }
}

/// What a platform could not do: get or protect memory, mostly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlatformError {
    /// What was tried, for people: "map pages".
    pub what: &'static str,
    /// Bytes of memory asked for; 0 where it was not memory that was missing.
    pub bytes: usize,
}

impl fmt::Display for PlatformError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bytes == 0 {
            return write!(formatter, "can't {}: the system does not let it; try another domain", self.what);
        }
        write!(
            formatter,
            "no memory: can't {} ({} bytes); unload a module or give the system more memory",
            self.what, self.bytes
        )
    }
}

/// Memory that is in use, or that a module has been given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Pages: segments, stack, heap, and the page tables that map them.
    pub pages: u64,
    /// Bytes of pages that images share.
    pub arena_bytes: u64,
    /// Bytes of the loader's own tables.
    pub table_bytes: u64,
}

impl core::ops::Add for Usage {
    type Output = Usage;

    fn add(self, other: Usage) -> Usage {
        Usage {
            pages: self.pages + other.pages,
            arena_bytes: self.arena_bytes + other.arena_bytes,
            table_bytes: self.table_bytes + other.table_bytes,
        }
    }
}

impl Usage {
    /// What is in use less in `after`.
    #[must_use]
    pub const fn saturating_sub(self, after: Usage) -> Usage {
        Usage {
            pages: self.pages.saturating_sub(after.pages),
            arena_bytes: self.arena_bytes.saturating_sub(after.arena_bytes),
            table_bytes: self.table_bytes.saturating_sub(after.table_bytes),
        }
    }
}

/// What a module has not freed in its own heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leak {
    /// Blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The surroundings of a [`ModuleManager`](crate::ModuleManager).
///
/// Seven methods have no default; with those alone modules run that only compute. What the processor must have
/// switched on, which traps are to be contained and how a module panics is on the [front page](crate).
///
/// | wanted | override |
/// |---|---|
/// | modules that log, read the clock or call others | [`offered_services`](Self::offered_services), [`call_with_callees`](Self::call_with_callees) |
/// | ring 3 | [`has_domain`](Self::has_domain) |
/// | fast loads | [`checksum`](Self::checksum): [`Crc32c::detect`], once |
/// | code for newer processors | [`cpu_level`](Self::cpu_level) |
/// | fast calls | [`HAS_FAST_PATH`](Self::HAS_FAST_PATH), [`call_fast`](Self::call_fast) |
/// | receipts with figures | [`image_usage`](Self::image_usage), [`usage`](Self::usage) |
/// | what a panic said | [`diagnosis`](Self::diagnosis) |
///
/// Calls lie in each other, up to [`MAX_DEPTH`] deep: where modules call others, and where one is loaded, replaced or unloaded during a
/// call, since that calls its `init`, `exit` or state's handlers. So what a platform keeps of a call it keeps
/// for each, and puts the outer one's back, also behind a fault. No lock is held while module code runs: a fault skips
/// whatever would release it.
pub trait Platform {
    /// Where the loader's own tables come from.
    type Alloc: Allocator + Clone;
    /// Memory of an image that is being filled.
    type WritableImage: WritableImage;
    /// Memory of an image that can be called: text read and execute, rodata
    /// read only, data read and write.
    type Image;

    /// The allocator of the loader's tables: of the crate `allocator-api2`, in the version that the loader uses.
    fn allocator(&self) -> Self::Alloc;

    /// Which services modules are really given: `SERVICE_*` bits of
    /// [`bareflow_abi::header`]; by default none. A blob that declares another one is refused.
    fn offered_services(&self) -> u32 {
        0
    }

    /// The x86-64 level (1 to 4) that processor and kernel let modules use; by
    /// default what every x86-64 processor has. A promise: the vector units' state for it is switched on (CR4.OSXSAVE, XCR0).
    fn cpu_level(&self) -> u8 {
        1
    }

    /// How checksums are computed; by default in a way that every processor can, slowly.
    fn checksum(&self) -> Crc32c {
        Crc32c::SOFTWARE
    }

    /// Whether modules can run there; by default in the kernel domain alone.
    fn has_domain(&self, domain: Domain) -> bool {
        domain == Domain::Kernel
    }

    /// Zeroed memory for an image that runs where `placement` says, with its
    /// stack and heap.
    ///
    /// All of `placement` is the platform's to provide: a stack of `budget.stack` bytes above an unmapped page, a heap of
    /// `budget.heap` bytes that stays the image's, an end for calls that take longer than `budget.time_us`, and a table with the
    /// services it names and no others. Images may interleave: see [`Segments::pages`](crate::Segments::pages).
    ///
    /// # Errors
    /// When there is not enough.
    fn allocate(&self, size: ImageSize, placement: &Placement) -> Result<Self::WritableImage, PlatformError>;

    /// Gives each segment its final permission. No alias that stays behind is
    /// writable and executable. An image that can't be sealed is released.
    ///
    /// Before text runs that was written through another address, the processor executes a serialising instruction (Intel SDM
    /// volume 3, Handling Self- and Cross-Modifying Code).
    ///
    /// # Errors
    /// When memory for page tables runs out.
    fn seal(&self, image: Self::WritableImage) -> Result<Self::Image, PlatformError>;

    /// Takes an image's memory back. Nothing runs in it any more. Whoever has its place next finds zeros.
    fn release(&self, image: Self::Image);

    /// The cycle clock, read without ordering: cheap, and a few instructions early or late.
    fn clock(&self) -> u64;

    /// The cycle clock, read when everything before is done.
    fn clock_fenced(&self) -> u64;

    /// Calls a module, with a [`Context`](bareflow_abi::Context) around the
    /// call's input and `output`. The clock is read right before and right behind the
    /// call itself, so that what the platform prepares is not taken for the module's.
    ///
    /// The entry is an [`EntryFn`](bareflow_abi::EntryFn). A module may leave every register changed, and write any number
    /// as the context's output length: the platform keeps the registers it needs, and limits the length. A module with a heap
    /// has it in each call's context, at the same place ([`with_heap`](bareflow_abi::Context::with_heap)).
    ///
    /// # Errors
    /// The fault the call ended in, or that there was no memory for it.
    fn call(&self, call: &Call<'_, Self::Image>, output: &mut [u8]) -> Result<TimedCall, CallError>;

    /// Whether there is a fast path of calls, [`call_fast`](Self::call_fast); by default there is none.
    const HAS_FAST_PATH: bool = false;

    /// The same for a call in the kernel domain without input and output, as most are. Where it takes the fast path,
    /// and returns, what came of it is returned; else it is in `slow_result`. Never called where there is no fast path.
    #[inline(always)]
    fn call_fast(
        &self,
        call: &Call<'_, Self::Image>,
        slow_result: &mut Result<TimedCall, CallError>,
    ) -> Option<FastReturn> {
        *slow_result = self.call(call, &mut []);
        None
    }

    /// The same for a module that may call others: its calls of the service `call` go to `callees`. By default
    /// the service is not there, and what modules say of it is not asked for.
    ///
    /// `callees` is good until the call ends. It comes back to this platform, for another image.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    fn call_with_callees(
        &self,
        call: &Call<'_, Self::Image>,
        output: &mut [u8],
        callees: &dyn Callees,
    ) -> Result<TimedCall, CallError> {
        let _ = callees;
        self.call(call, output)
    }

    /// What an image takes, as [`usage`](Self::usage) counts it.
    fn image_usage(&self, image: &Self::Image) -> Usage {
        let _ = image;
        Usage::default()
    }

    /// What all images and all that [`allocator`](Self::allocator) gave out take now; `None` where nobody counts.
    fn usage(&self) -> Option<Usage> {
        None
    }

    /// The most stack and heap that an image's calls have used so far; nothing by default. Asked for now and then, and not
    /// during calls: who keeps no books may look through the memory ([`PeakUse::of_stack`], [`PeakUse::of_heap`]).
    fn peak_use(&self, image: &Self::Image) -> PeakUse {
        let _ = image;
        PeakUse::default()
    }

    /// What the processor has counted of this thread, or of itself, so far; `None` where it counts nothing, or nobody may
    /// read it.
    fn counters(&self) -> Option<Counters> {
        None
    }

    /// What is known of the last fault of a call; asked for at once, and only then.
    fn diagnosis(&self) -> Option<Diagnosis> {
        None
    }
}
