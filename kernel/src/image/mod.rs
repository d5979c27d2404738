//! Memory of modules: an arena of addresses in the upper two gigabytes, so that
//! calls between kernel and modules stay near.
//!
//! A module of the user domain lies there too, but not for its own eyes: the
//! arena holds the kernel's alias of its frames, which are mapped once more,
//! with the module's permissions, in page tables of its own ([`user`]).

mod packed;
pub mod user;

use alloc::boxed::Box;

use allocator_api2::alloc::Global;
use bareflow_abi::layout::MAX_SEGMENT_SIZE;
use bareflow_loader::segments::{PAGE_SIZE, is_within};
use bareflow_loader::{Domain, Draft, FreeRanges, ImageSize, Placement, PlatformError, Segments, Usage};
use spin::Mutex;

use crate::gate::user::layout;
use crate::memory::MODULE_STACK;
use crate::services::undeclared;
use crate::memory::tables::{self, READ_EXECUTE, READ_ONLY};
use crate::traps::timer::ticks_of;
pub use packed::serialise;
use user::UserSide;

/// Address of the first image. Its rodata and data lie in the same two gigabytes.
const ARENA: u64 = 0xffff_ffff_9000_0000;

/// Pages of offsets in the arena, which the three segments share.
const ARENA_PAGES: u64 = MAX_SEGMENT_SIZE / PAGE_SIZE;

/// Pages of offsets that no image has.
static FREE: Mutex<FreeRanges<Global>> = Mutex::new(FreeRanges::new_in(Global));

/// A module's memory.
#[derive(Debug)]
pub struct Image {
    /// The segments as the module sees them.
    pub segments: Segments,
    /// Where the stack begins, as the module sees it.
    pub stack_top: u64,
    /// The services it declares, as [`undeclared::bits`] says them.
    pub services: u32,
    /// Timer ticks a call may see.
    pub ticks: u32,
    /// What a module of the user domain has besides.
    pub user: Option<Box<UserSide>>,
    /// The base as the kernel sees it.
    alias: u64,
    /// The stack's size.
    stack: u32,
    /// Pages of offsets that are its own; 0 where it shares pages with others.
    pages: u32,
}

/// Opens the arena.
pub fn open_arena() {
    packed::open();
    FREE.lock().give_back(packed::SPAN / PAGE_SIZE, ARENA_PAGES - packed::SPAN / PAGE_SIZE);
    user::open_room();
}

impl Image {
    /// Zeroed, writable memory for an image.
    #[inline(always)]
    pub fn reserve(size: ImageSize, placement: &Placement) -> Result<Image, PlatformError> {
        let heap = placement.budget.heap;
        let shares = placement.domain == Domain::Kernel && packed::fits(&size, heap);
        let pages = if shares { 0 } else { Segments::pages(&size, heap) };
        let error = |what| PlatformError { what, bytes: (pages.max(1) * PAGE_SIZE) as usize };
        let base = if shares {
            packed::take(&size).map_err(|_| error("map pages"))?
        } else {
            ARENA + FREE.lock().take(pages).ok_or_else(|| error("reserve addresses"))? * PAGE_SIZE
        };
        // Both rooms are far below four gigabytes.
        let stack = |room: u64| u64::from(placement.budget.stack).min(room) as u32;
        let (alias, base, stack_top, stack) = match placement.domain {
            Domain::Kernel => {
                let stack = stack(MODULE_STACK.size());
                (base, base, MODULE_STACK.bottom() + u64::from(stack), stack)
            }
            Domain::User => (base, layout::BASE, layout::STACK_TOP, stack(layout::MAX_STACK)),
        };
        let ticks = ticks_of(placement.budget.time_us);
        let services = undeclared::bits(placement.services);
        let segments = Segments { base, size, heap };
        // An arena has far less than 2^32 pages.
        let pages = pages as u32;
        let mut image = Image { segments, stack_top, services, ticks, user: None, alias, stack, pages };
        if pages > 0 && image.map(placement.domain).is_err() {
            image.release();
            return Err(error("map pages"));
        }
        Ok(image)
    }

    fn map(&mut self, domain: Domain) -> Result<(), tables::OutOfFrames> {
        for (start, bytes) in self.alias().mapped() {
            tables::map_zeroed_range(start, bytes)?;
        }
        if domain == Domain::User {
            self.user = Some(Box::new(UserSide::new(self.stack.into())?));
        }
        Ok(())
    }

    /// Whether it shares pages with others, which have their final permissions.
    pub const fn is_shared(&self) -> bool {
        self.pages == 0
    }

    /// Gives text and rodata pages of its own their final permissions; data has its own already.
    pub fn seal(&mut self) -> Result<(), PlatformError> {
        let alias = self.alias();
        let [text, rodata, _] = alias.all();
        // What runs in ring 3 never runs through the kernel's alias.
        let executable = if self.user.is_some() { READ_ONLY } else { READ_EXECUTE };
        for ((start, bytes), flags) in [(text, executable), (rodata, READ_ONLY)] {
            for address in (start..start + bytes as u64).step_by(PAGE_SIZE as usize) {
                tables::protect(address, flags);
            }
        }
        let Some(user) = &mut self.user else { return Ok(()) };
        let bytes = (u64::from(self.pages) * PAGE_SIZE) as usize;
        user.show(&self.segments, &alias).map_err(|_| PlatformError { what: "map pages in ring 3", bytes })
    }

    /// The pages it takes, and the bytes of the kernel's heap.
    pub fn held(&self) -> Usage {
        if self.pages == 0 {
            return packed::held(&self.segments);
        }
        let segments: u64 = self.alias().mapped().iter().map(|(_, bytes)| bytes.div_ceil(PAGE_SIZE)).sum();
        let user = self.user.as_ref().map_or(Usage::default(), |user| user.held());
        Usage { pages: segments, ..Usage::default() } + user
    }

    /// Gives all memory and the addresses back.
    pub fn release(self) {
        if self.pages == 0 {
            return packed::give_back(&self.segments);
        }
        let alias = self.alias();
        drop(self.user);
        for (start, bytes) in alias.mapped() {
            tables::unmap_range(start, bytes);
        }
        FREE.lock().give_back((alias.base - ARENA) / PAGE_SIZE, self.pages.into());
    }

    /// Whether an access to `address` means that the stack has run out.
    pub fn guards(&self, address: u64) -> bool {
        is_within(address, 1, self.stack().0.saturating_sub(PAGE_SIZE), PAGE_SIZE)
    }

    /// The kernel's address of `length` bytes that are to the module at
    /// `address`, if they lie in its segments, its heap or its stack.
    pub fn alias_of(&self, address: u64, length: u64) -> Option<u64> {
        if self.segments.contains(address, length) {
            return Some(address - self.segments.base + self.alias);
        }
        self.stack_alias(address, length)
    }

    /// The same for bytes on its stack alone.
    pub fn stack_alias(&self, address: u64, length: u64) -> Option<u64> {
        let (start, size) = self.stack();
        let stack = self.user.as_ref().map_or(start, |user| user.stack_alias());
        is_within(address, length, start, size).then(|| address - start + stack)
    }

    /// Whether these bytes lie in its data or its heap.
    pub fn is_data(&self, address: u64, length: u64) -> bool {
        let ([_, _, (data, size)], (heap, heap_size)) = (self.segments.all(), self.segments.heap());
        is_within(address, length, data, size as u64) || is_within(address, length, heap, heap_size)
    }

    /// The same for the input and the output of a module of the user domain.
    pub fn buffer_alias(&self, address: u64, length: u64) -> Option<u64> {
        self.user.as_ref()?.buffer_alias(address, length)
    }

    /// Bytes that images have of pages they share.
    #[inline]
    pub fn shared_bytes() -> u64 {
        packed::used()
    }

    /// The segments as the kernel sees them.
    const fn alias(&self) -> Segments {
        Segments { base: self.alias, ..self.segments }
    }

    /// The lowest address of the stack, as the module sees it, and its size.
    const fn stack(&self) -> (u64, u64) {
        (self.stack_top - self.stack as u64, self.stack as u64)
    }

    fn segment(&mut self, index: usize) -> &mut [u8] {
        let (start, bytes) = self.alias().all()[index];
        let shift = if self.pages == 0 { packed::shifts()[index] } else { 0 };
        // SAFETY: `reserve` found these bytes writable at this address for this image alone, and
        // the draft is borrowed for as long as the slice lives. A segment
        // without bytes has no page; its address is aligned and not null.
        unsafe { core::slice::from_raw_parts_mut(start.wrapping_add(shift) as *mut u8, bytes) }
    }
}

/// An image that is being filled: only this can be written to.
pub struct ImageDraft(pub Image);

impl Draft for ImageDraft {
    fn base(&self) -> u64 {
        self.0.segments.base
    }
    fn text(&mut self) -> &mut [u8] {
        self.0.segment(0)
    }
    fn rodata(&mut self) -> &mut [u8] {
        self.0.segment(1)
    }
    fn data(&mut self) -> &mut [u8] {
        self.0.segment(2)
    }
}
