//! The loader's [`Platform`] for an ordinary Linux process: mappings
//! (`memory`), the clock, the call and its containment (`gate`,
//! `signals`), and services (`services`).
//!
//! This is the one crate for hosted systems that uses `unsafe`.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("bareflow-host runs modules in x86-64 Linux processes only");

mod gate;
mod memory;
mod services;
mod signals;
#[cfg(test)]
mod tests;

use std::arch::x86_64::{__cpuid, _mm_lfence, _rdtsc};
use std::cell::RefCell;
use std::marker::PhantomData;

use allocator_api2::alloc::Global;
use bareflow_abi::{Context, Services};
use bareflow_loader::{Call, Fault, ImageSize, Platform, PlatformError};

use memory::Arenas;
pub use memory::{Image, ImageDraft};

/// Where the lines go that modules log, and what is said of their panics.
pub type Log = Box<dyn Fn(&str)>;

/// This process, as the loader sees it. It stays on the thread it was made on,
/// whose signal stack it has set up.
pub struct HostPlatform {
    arenas: RefCell<Arenas>,
    log: Log,
    cpu_level: u8,
    on_this_thread: PhantomData<*const ()>,
}

impl HostPlatform {
    /// The platform. Lines that modules log go to `log`.
    ///
    /// # Errors
    /// When the system does not let it reserve addresses or handle signals.
    pub fn new(log: Log) -> std::io::Result<HostPlatform> {
        signals::install()?;
        Ok(HostPlatform {
            arenas: RefCell::new(Arenas::new()?),
            log,
            cpu_level: cpu_level(),
            on_this_thread: PhantomData,
        })
    }
}

impl Platform for HostPlatform {
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
        self.arenas.borrow_mut().reserve(size)
    }

    fn seal(&self, draft: ImageDraft) -> Result<Image, PlatformError> {
        draft.seal().map_err(|(image, error)| {
            self.arenas.borrow_mut().release(image);
            error
        })
    }

    fn release(&self, image: Image) {
        self.arenas.borrow_mut().release(image);
    }

    #[inline(always)]
    fn clock(&self) -> u64 {
        // SAFETY: every x86-64 processor has the instruction, and Linux lets processes use it.
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
        gate::call(call, context, &self.log)
    }
}

/// The processor's name.
#[must_use]
pub fn cpu_name() -> String {
    if __cpuid(0x8000_0000).eax < 0x8000_0004 {
        return "unknown".to_owned();
    }
    let parts = [0x8000_0002, 0x8000_0003, 0x8000_0004].map(__cpuid);
    let registers = parts.iter().flat_map(|part| [part.eax, part.ebx, part.ecx, part.edx]);
    let bytes: Vec<u8> = registers.flat_map(u32::to_le_bytes).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

/// The x86-64 level (1 to 4, x86-64 psABI section 3.1.1) of processor and system.
#[must_use]
pub fn cpu_level() -> u8 {
    macro_rules! all {
        ($($feature:tt)+) => { $(std::arch::is_x86_feature_detected!($feature))&&+ };
    }
    // LAHF in long mode has no name here; every processor with the others has it.
    let second = all!("cmpxchg16b" "popcnt" "sse3" "sse4.1" "sse4.2" "ssse3");
    let third = second && all!("avx" "avx2" "bmi1" "bmi2" "f16c" "fma" "lzcnt" "movbe");
    let fourth = third && all!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl");
    1 + u8::from(second) + u8::from(third) + u8::from(fourth)
}
