//! The loader's [`Platform`] with containment.

use core::cell::Cell;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;

use allocator_api2::alloc::Global;
use bareflow_abi::checksum::Crc32c;
use bareflow_abi::interface::{Frame, Reply};
use bareflow_loader::{
    Call, CallFailure, Callees, Diagnosis, Domain, EventLimits, FastExit, FastReturn, ImageSize, LinearMemory, Name,
    Occurrence, PeakUse, Placement, Platform, PlatformError, RegionMemory, TimedCall, TimedReply, Usage, WritableImage,
};
use bareflow_runtime::clock;
use bareflow_runtime::services::OFFERED;
use bareflow_runtime::{Reach, Serializer};
use x86_64::instructions::interrupts;

use crate::image::{self, Image, UnsealedImage};
use crate::kernel::{self, HEAP_BYTES, Kernel, Ticks, is_observed, observe};
use crate::memory::{frames, page_tables};
use crate::services::table_of;
use crate::{call, cpu, observed, timer};

/// The platform: modules run in ring 0 or ring 3, and their faults end their calls.
#[derive(Debug)]
pub struct Contained {
    cpu_level: u8,
    checksum: Crc32c,
    serializer: Serializer,
    has_ticks: bool,
    /// Calls share a stack and the word for the running call, so no two threads may use the platform.
    not_sync: PhantomData<Cell<()>>,
}

impl Contained {
    /// Sets up all that calls need: addresses, `syscall`, and `ticks`, which end calls that take too long. Returns
    /// `None` if this was called before.
    ///
    /// # Safety
    /// There is one processor, and it executes this in ring 0. [`cpu::enable`] was called; the [descriptor
    /// tables](crate::descriptor_tables) are loaded; the active page tables stay the kernel's own, and have the
    /// [stacks of modules](page_tables::map_module_stacks); the kernel has a global allocator. Segments of the kernel's
    /// own are those of [`selectors`](crate::selectors), with data of ring 0 right after
    /// [`KERNEL_CODE`](crate::selectors::KERNEL_CODE). Interrupts are enabled here: each that may arrive has an IST stack.
    pub unsafe fn init(kernel: &'static dyn Kernel, ticks: &'static dyn Ticks) -> Option<Contained> {
        if !kernel::install(kernel, ticks) {
            return None;
        }
        page_tables::note_kernel_root();
        image::open_arena();
        cpu::enable_syscall();
        let has_ticks = ticks.start();
        // Interrupts are safe from here on: every vector has a stack of its own, and no handler waits for a lock.
        interrupts::enable();
        let (cpu_level, checksum, serializer) = (cpu::level(), Crc32c::detect(), Serializer::detect());
        Some(Contained { cpu_level, checksum, serializer, has_ticks, not_sync: PhantomData })
    }

    /// Returns whether there are ticks. Without them, calls may take any time.
    pub const fn has_ticks(&self) -> bool {
        self.has_ticks
    }
}

// SAFETY: `Image` has frames and addresses of its own; the trampolines save what compiled code relies on and are left by
// traps; page tables of its own contain a module of the user domain.
unsafe impl Platform for Contained {
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

    #[inline(always)]
    fn allocate(&self, size: ImageSize, placement: &Placement) -> Result<UnsealedImage, PlatformError> {
        Image::allocate(size, placement, table_of(placement.services), None).map(UnsealedImage)
    }

    fn allocate_with_memory(
        &self,
        size: ImageSize,
        placement: &Placement,
        memory: &LinearMemory,
    ) -> Result<UnsealedImage, PlatformError> {
        Image::allocate(size, placement, table_of(placement.services), Some(memory)).map(UnsealedImage)
    }

    fn grow_memory(&self, image: &Image, pages: u64) -> u64 {
        image.grow_memory(pages)
    }

    #[inline(always)]
    fn seal(&self, unsealed: UnsealedImage) -> Result<Image, PlatformError> {
        let mut image = unsealed.0;
        match image.seal() {
            Ok(()) => {
                self.serializer.serialize();
                Ok(image)
            }
            Err(error) => {
                image.release();
                Err(error)
            }
        }
    }

    fn refill(&self, image: &mut Image, size: ImageSize, fill: impl FnOnce(&mut dyn WritableImage)) -> bool {
        let is_refilled = image.refill(size, fill);
        if is_refilled {
            self.serializer.serialize();
        }
        is_refilled
    }

    #[inline(always)]
    fn release(&self, image: Image) {
        image.release();
    }

    fn reach(&self, image: &Image, address: u64, length: u64, look: &mut dyn FnMut(&mut [u8])) -> bool {
        image.reach(address, length, look)
    }

    #[inline(always)]
    fn image_usage(&self, image: &Image) -> Usage {
        image.usage()
    }

    fn peak_use(&self, image: &Image) -> PeakUse {
        image.peak_use()
    }

    fn usage(&self) -> Option<Usage> {
        let table_bytes = HEAP_BYTES.load(Ordering::Relaxed);
        Some(Usage { pages: frames::taken_frames(), arena_bytes: Image::shared_bytes(), table_bytes })
    }

    fn call_within<T>(&self, limits: EventLimits, call: impl FnOnce() -> T) -> T {
        call::call_within(limits, call)
    }

    fn call_apart<T>(&self, call: impl FnOnce() -> T) -> T {
        call::call_apart(call)
    }

    fn microseconds(&self) -> Option<u64> {
        self.has_ticks.then(timer::microseconds)
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
        if is_observed() {
            return observed::call(call, output, None);
        }
        call::call(call, call.image().services, output, None)
    }

    #[inline(always)]
    fn call_fast(&self, call: &Call<'_, Image>) -> Result<FastReturn, FastExit> {
        if is_observed() { Err(FastExit::NOT_CALLED) } else { call::kernel_domain::call_fast(call) }
    }

    fn finish_fast(&self, call: &Call<'_, Image>, exit: FastExit) -> Result<TimedCall, CallFailure> {
        if exit == FastExit::NOT_CALLED { self.call(call, &mut []) } else { call::kernel_domain::finish_fast(exit) }
    }

    fn call_with_callees(
        &self,
        call: &Call<'_, Image>,
        output: &mut [u8],
        callees: &dyn Callees,
    ) -> Result<TimedCall, CallFailure> {
        if is_observed() {
            return observed::call(call, output, Some(callees));
        }
        call::call(call, call.image().services, output, Some(&Reach::of(callees)))
    }

    fn call_method(
        &self,
        call: &Call<'_, Image>,
        frame: &mut Frame<'_>,
        callees: Option<&dyn Callees>,
    ) -> Result<TimedReply, CallFailure> {
        if is_observed() {
            return observed::call_method(call, frame, callees);
        }
        call::call_method(call, frame, callees)
    }

    fn has_regions(&self, _: Domain) -> bool {
        true
    }

    fn allocate_region(&self, pages: u32) -> Result<RegionMemory, PlatformError> {
        image::allocate_region(pages)
    }

    fn free_region(&self, memory: RegionMemory) {
        image::free_region(&memory);
    }

    fn map_region(&self, memory: &RegionMemory, image: &Image, is_writable: bool) -> Result<u64, PlatformError> {
        image.map_region(memory, is_writable)
    }

    fn unmap_region(&self, memory: &RegionMemory, image: &Image) {
        image.unmap_region(memory);
    }

    #[cfg(feature = "devices")]
    fn device_bus(&self) -> Option<&dyn bareflow_loader::DeviceBus> {
        kernel::kernel().devices()
    }

    #[inline(always)]
    fn call_provider(&self, name: &Name, call: impl FnOnce() -> Reply) -> Option<Reply> {
        call::provider::call_provider(name, call)
    }

    fn trace(&self, module: &Name, occurrence: Occurrence) {
        observe(|observer| observer.note_occurrence(module, occurrence));
    }

    fn diagnosis(&self) -> Option<Diagnosis> {
        call::take_diagnosis()
    }
}
