//! The third stage: a module in memory, sealed, with all its fix-ups applied.

#[cfg(feature = "regions")]
use bareflow_abi::interface::{Interface, bindings::Entries};
use bareflow_abi::layout::TEXT_OFFSET;
use bareflow_abi::memory::{MEMORY_PAGE_SIZE, MemoryRecord};
#[cfg(feature = "regions")]
use bareflow_regions::Regions;

use crate::error::LoadError;
use crate::format::code::Fixup;
use crate::format::fixups::FIXUP_SIZE_BYTES;
use crate::format::valid::ValidModule;
use crate::name::Name;
use crate::platform::{Call, LinearMemory, Platform, WritableImage};
use crate::policy::kernel_domain::KernelDomain;
use crate::policy::{Domain, Placement};
use crate::profile::Timing;

/// An image that can be called.
#[derive(Debug)]
pub struct PlacedModule<Image> {
    /// The sealed memory.
    pub(crate) image: Image,
    /// The address of the entry.
    pub(crate) entry: u64,
}

impl<Image> PlacedModule<Image> {
    /// Places `module` in the kernel domain, outside of any manager.
    ///
    /// # Errors
    /// Its data is larger than its budget, or the platform has no memory for it. Nothing stays behind.
    pub fn place_alone<P>(
        module: &ValidModule<'_>,
        placement: &Placement,
        platform: &P,
        _: KernelDomain,
    ) -> Result<PlacedModule<Image>, LoadError>
    where
        P: Platform<Image = Image>,
    {
        PlacedModule::place(module, &Placement { domain: Domain::Kernel, ..*placement }, platform)
    }

    /// Returns a checked call of the module, which is named `module`. The reason is as in [`Call::new`].
    #[must_use]
    pub const fn call<'call>(&'call self, module: &'call Name, reason: u32, input: &'call [u8]) -> Call<'call, Image> {
        let PlacedModule { image, entry } = self;
        Call { module, image, entry: *entry, reason, input, timing: Timing::Fast, check_abi: true, caller: 0 }
    }

    /// Returns the image, to be released.
    pub fn into_image(self) -> Image {
        self.image
    }

    /// Allocates memory for `module`, copies it there, applies its fix-ups and seals it.
    ///
    /// # Errors
    /// Its data is larger than its budget, or the platform has no memory for it. Nothing stays behind.
    #[inline(always)]
    pub(crate) fn place<P>(
        module: &ValidModule<'_>,
        placement: &Placement,
        platform: &P,
    ) -> Result<PlacedModule<Image>, LoadError>
    where
        P: Platform<Image = Image>,
    {
        let size = module.code().image_size();
        if size.data_bytes > placement.budget.data_bytes {
            return Err(LoadError::DataBudget { found: size.data_bytes, limit: placement.budget.data_bytes });
        }
        let mut image = match memory_of(module, placement)? {
            None => platform.allocate(size, placement),
            Some(memory) => platform.allocate_with_memory(size, placement, &memory),
        }?;
        #[cfg(feature = "regions")]
        image.prepare_regions(|| {
            let mut imports = Entries::new(module.bindings()).imports();
            imports.any(|import| import.interface == <dyn Regions>::NAME)
        });
        let entry = fill(module, &mut image);
        Ok(PlacedModule { image: platform.seal(image)?, entry })
    }

    /// Fills the image of `module` anew, if the platform can do that without more memory. Returns whether it did. Nothing
    /// runs in the image any more.
    pub(crate) fn refill<P>(&mut self, module: &ValidModule<'_>, platform: &P) -> bool
    where
        P: Platform<Image = Image>,
    {
        let PlacedModule { image, entry } = self;
        platform.refill(image, module.code().image_size(), |image| *entry = fill(module, image))
    }
}

/// Copies `module` to zeroed memory and applies its fix-ups. Returns the address of its entry.
#[inline(always)]
fn fill<W: WritableImage + ?Sized>(module: &ValidModule<'_>, image: &mut W) -> u64 {
    let (code, base) = (module.code(), image.base());
    let [text, rodata, data] = image.segments();
    copy(code.text, text);
    copy(code.rodata, rodata);
    copy(code.data, data);
    if !code.fixups.is_empty() {
        let lists = (code.fixups, code.rodata.len(), code.data.len());
        relocate_all(lists, base, rodata, data);
    }
    if let Some(memory) = module.memory() {
        write_words(image, &memory);
    }
    base.wrapping_add(TEXT_OFFSET).wrapping_add(u64::from(code.header.entry))
}

/// Returns the linear memory that `module` gets, if it has one.
///
/// # Errors
/// It is larger than its budget.
#[inline(always)]
fn memory_of(module: &ValidModule<'_>, placement: &Placement) -> Result<Option<LinearMemory>, LoadError> {
    module.memory().map(|record| LinearMemory::within(&record, &placement.budget)).transpose()
}

/// Writes the address and the size of the linear memory into the data.
#[cold]
#[inline(never)]
fn write_words<W: WritableImage + ?Sized>(image: &mut W, memory: &MemoryRecord) {
    let (base, [_, _, data]) = (image.memory_base(), image.segments());
    let size = u64::from(memory.initial_pages) * MEMORY_PAGE_SIZE;
    // Validation has found that the words lie in the data.
    let words = data.get_mut(memory.words as usize..).and_then(<[u8]>::first_chunk_mut::<16>);
    if let Some(words) = words {
        *words = (u128::from(base) | u128::from(size) << 64).to_le_bytes();
    }
}

/// Copies a segment's bytes to the start of its memory.
///
/// The memory is long enough, because both lengths come from one `ImageSize`.
#[inline(always)]
fn copy(bytes: &[u8], memory: &mut [u8]) {
    // Even an empty copy may touch a page that is not mapped, which is slow on processors that mask such accesses.
    if bytes.is_empty() {
        return;
    }
    if let Some(start) = memory.get_mut(..bytes.len()) {
        start.copy_from_slice(bytes);
    }
}

/// Applies all fix-ups to an image that will lie at `base`.
#[inline(never)]
fn relocate_all(lists: (&[u8], usize, usize), base: u64, rodata: &mut [u8], data: &mut [u8]) {
    let (fixups, rodata_size, data_size) = lists;
    for fixup in Fixup::all(fixups, rodata_size, data_size) {
        match fixup {
            Fixup::Rodata(start) => relocate(rodata, start, base),
            Fixup::Data(start) => relocate(data, start, base),
        }
    }
}

/// Adds `base` to the fix-up at `start`, which validation has found to be inside of the segment.
fn relocate(segment: &mut [u8], start: usize, base: u64) {
    let fixup = segment.get_mut(start..).and_then(|rest| rest.first_chunk_mut::<{ FIXUP_SIZE_BYTES as usize }>());
    if let Some(fixup) = fixup {
        *fixup = u64::from_le_bytes(*fixup).wrapping_add(base).to_le_bytes();
    }
}
