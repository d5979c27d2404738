//! The loader's [`Platform`], on bare metal.

use core::arch::x86_64::{_mm_lfence, _rdtsc};

use allocator_api2::alloc::Global;
use bareflow_abi::{Context, Services};
use bareflow_loader::{Call, Fault, ImageSize, Platform, PlatformError};

use crate::image::{self, Image, ImageDraft};
use crate::{call, cpu, services};

/// The kernel's side of the loader.
pub struct KernelPlatform {
    cpu_level: u8,
}

impl KernelPlatform {
    /// The platform; once, when memory and traps are set up.
    pub fn new() -> KernelPlatform {
        image::open_arena();
        KernelPlatform { cpu_level: cpu::level() }
    }
}

impl Platform for KernelPlatform {
    type Tables = Global;
    type Draft = ImageDraft;
    type Image = Image;

    fn tables(&self) -> Global {
        Global
    }

    fn services(&self) -> &Services {
        &services::SERVICES
    }

    fn offered_services(&self) -> u32 {
        services::OFFERED
    }

    fn cpu_level(&self) -> u8 {
        self.cpu_level
    }

    fn reserve(&self, size: ImageSize) -> Result<ImageDraft, PlatformError> {
        Image::reserve(size).map(ImageDraft)
    }

    fn seal(&self, draft: ImageDraft) -> Result<Image, PlatformError> {
        draft.0.seal();
        Ok(draft.0)
    }

    fn release(&self, image: Image) {
        image.release();
    }

    #[inline(always)]
    fn clock(&self) -> u64 {
        // SAFETY: every x86-64 processor has the instruction, and ring 0 may use it.
        unsafe { _rdtsc() }
    }

    #[inline(always)]
    fn clock_fenced(&self) -> u64 {
        // SAFETY: as above. The first fence waits for what came before, the
        // second keeps what comes behind from beginning (Intel SDM volume 2, RDTSC).
        unsafe {
            _mm_lfence();
            let now = _rdtsc();
            _mm_lfence();
            now
        }
    }

    #[inline]
    fn call(&self, call: &Call<'_, Image>, context: &mut Context<'_>) -> Result<i32, Fault> {
        call::call(call, context)
    }
}
