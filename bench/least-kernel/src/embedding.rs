//! The loader in a kernel: a platform, a manager, a call.

use crate::pages::{PAGE, TEXT, TEXT_ALIAS, cycles, segment};
use allocator_api2::alloc::Global;
use bareflow_abi::{Context, EntryFn, Services};
use bareflow_loader::*;

/// The pages that `pages.rs` maps: at `TEXT` with the loader's distances, and writable at `TEXT_ALIAS`.
struct OneImage;
struct Tiny;
impl WritableImage for OneImage {
    fn base(&self) -> u64 {
        TEXT
    }
    fn segments(&mut self) -> [&mut [u8]; 3] {
        [0, 1, 2].map(|number| segment(TEXT_ALIAS + number * PAGE))
    }
}

// SAFETY: one image at a time is loaded, into pages that nothing else uses, and its blob is trusted.
unsafe impl Platform for Tiny {
    type Alloc = Global;
    type WritableImage = OneImage;
    type Image = OneImage;
    fn allocator(&self) -> Global {
        Global
    }
    fn allocate(&self, size: ImageSize, _: &Placement) -> Result<OneImage, PlatformError> {
        let bytes = size.text_bytes.max(size.rodata_bytes).max(size.data_bytes) as usize;
        if bytes > PAGE as usize { Err(PlatformError { what: "allocate an image", bytes }) } else { Ok(OneImage) }
    }
    fn seal(&self, image: OneImage) -> Result<OneImage, PlatformError> {
        Ok(image)
    }
    fn release(&self, _: OneImage) {}
    fn clock(&self) -> u64 {
        cycles()
    }
    fn clock_fenced(&self) -> u64 {
        cycles()
    }
    // Not inlined, so that the loader's size can be told from it.
    #[inline(never)]
    fn call(&self, call: &Call<'_, OneImage>, output: &mut [u8]) -> Result<TimedCall, CallFailure> {
        let mut context = Context::new(&Services::NONE, call.input(), output);
        // SAFETY: the loader validated the entry and placed it in executable memory.
        let entry: EntryFn = unsafe { core::mem::transmute(call.entry()) };
        // SAFETY: the context is made of slices that outlive the call, and the only blob is one of the project's own.
        let (result, cycles) = call.timing().measure(self, || unsafe { entry(&mut context, call.reason()) });
        Ok(TimedCall { outcome: CallOutcome { result, output_length: context.output_length() }, cycles })
    }
}
#[inline(never)]
pub fn run(blob: &[u8]) -> Option<(i32, u64)> {
    // SAFETY: the only blob is one of the project's own.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    let manager = ModuleManager::with_kernel_domain(Tiny, Timing::Precise, trusted);
    let id = manager.load(blob).ok()?;
    Some((manager.execute(id).ok()?, manager.stats(id)?.cycles?.corrected.min))
}
