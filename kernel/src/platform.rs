//! The loader's [`Platform`], on bare metal.

use allocator_api2::alloc::Global;
use bareflow_abi::checksum::Crc32c;
use bareflow_loader::{
    Call, CallError, Callees, Diagnosis, Domain, FastReturn, ImageSize, KernelDomain, PeakUse, Placement, Platform,
    PlatformError, TimedCall, Usage,
};

use crate::image::{self, Image, UnsealedImage};
use crate::memory::{frames, heap_bytes};
use crate::{clock, cpu, recorder, services, trampoline};

/// Returns the permission for blobs that the operator has run in the kernel domain.
pub const fn kernel_domain() -> KernelDomain {
    // SAFETY: the operator, who chooses the domain of each load, vouches for the blobs that are loaded into this one.
    unsafe { KernelDomain::trust_all_blobs() }
}

/// The kernel's side of the loader.
pub struct KernelPlatform {
    cpu_level: u8,
    checksum: Crc32c,
    records: bool,
}

impl KernelPlatform {
    /// Creates the platform. Called once, after memory and traps are set up.
    pub fn new() -> KernelPlatform {
        image::open_arena();
        KernelPlatform { cpu_level: cpu::level(), checksum: Crc32c::detect(), records: false }
    }

    /// Creates the platform with a recorder of all calls.
    pub fn recording() -> KernelPlatform {
        recorder::start();
        KernelPlatform { records: true, ..KernelPlatform::new() }
    }
}

// SAFETY: `Image` has frames and addresses of its own; the trampolines save what compiled code relies on and are left by
// traps; page tables of its own contain a module of the user domain.
unsafe impl Platform for KernelPlatform {
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

    #[inline(always)]
    fn allocate(&self, size: ImageSize, placement: &Placement) -> Result<UnsealedImage, PlatformError> {
        Image::allocate(size, placement).map(UnsealedImage)
    }

    #[inline(always)]
    fn seal(&self, unsealed: UnsealedImage) -> Result<Image, PlatformError> {
        let mut image = unsealed.0;
        match image.seal() {
            Ok(()) => {
                bareflow_runtime::serialize();
                Ok(image)
            }
            Err(error) => {
                image.release();
                Err(error)
            }
        }
    }

    #[inline(always)]
    fn release(&self, image: Image) {
        image.release();
    }

    #[inline(always)]
    fn image_usage(&self, image: &Image) -> Usage {
        image.usage()
    }

    fn peak_use(&self, image: &Image) -> PeakUse {
        image.peak_use()
    }

    fn usage(&self) -> Option<Usage> {
        Some(Usage { pages: frames::taken_frames(), arena_bytes: Image::shared_bytes(), table_bytes: heap_bytes() })
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
        if self.records {
            return recorder::record(call, output, |output| trampoline::call(call, output, None));
        }
        trampoline::call(call, output, None)
    }

    #[inline(always)]
    fn call_fast(&self, call: &Call<'_, Image>, slow_result: &mut Result<TimedCall, CallError>) -> Option<FastReturn> {
        if self.records {
            *slow_result = self.call(call, &mut []);
            return None;
        }
        trampoline::kernel::call_fast(call, slow_result)
    }

    fn call_with_callees(
        &self,
        call: &Call<'_, Image>,
        output: &mut [u8],
        callees: &dyn Callees,
    ) -> Result<TimedCall, CallError> {
        if self.records {
            return recorder::record(call, output, |output| trampoline::call(call, output, Some(&callees)));
        }
        trampoline::call(call, output, Some(&callees))
    }

    fn diagnosis(&self) -> Option<Diagnosis> {
        trampoline::take_diagnosis()
    }
}
