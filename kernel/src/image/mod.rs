//! Memory of modules: an arena of addresses in the upper two gigabytes, so that
//! calls between kernel and modules stay near.
//!
//! A module of the user domain lies there too, but not for its own eyes: the
//! arena holds the kernel's alias of its frames, which are mapped once more,
//! with the module's permissions, in page tables of its own ([`user`]).

mod packed;
pub mod user;

use allocator_api2::alloc::Global;
use allocator_api2::boxed::Box;
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
    /// The services it declares, as [`undeclared::bits`] says them.
    pub services: u32,
    /// Timer ticks a call may see.
    pub ticks: u32,
    /// The stack's size.
    stack: u32,
    /// What it has besides where it shares no pages with others.
    own: Option<Box<Own>>,
}

/// What an image with pages of its own has besides.
#[derive(Debug)]
struct Own {
    /// The base as the kernel sees it.
    alias: u64,
    /// Pages of offsets.
    pages: u64,
    /// What a module of the user domain has.
    user: Option<UserSide>,
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
        let Placement { domain, budget, services } = *placement;
        let room = if domain == Domain::Kernel { MODULE_STACK.size() } else { layout::MAX_STACK };
        let mut image = Image {
            segments: Segments { base: 0, size, heap: budget.heap },
            services: undeclared::bits(services),
            ticks: ticks_of(budget.time_us),
            // Both rooms are far below four gigabytes.
            stack: budget.stack.min(room as u32),
            own: None,
        };
        if domain == Domain::Kernel && packed::fits(&size, budget.heap) {
            image.segments.base = packed::take(&size).map_err(|_| no_pages(1))?;
            Ok(image)
        } else {
            image.with_pages(domain)
        }
    }

    /// The same with pages of its own.
    #[inline(never)]
    fn with_pages(mut self, domain: Domain) -> Result<Image, PlatformError> {
        let pages = Segments::pages(&self.segments.size, self.segments.heap);
        let bytes = (pages * PAGE_SIZE) as usize;
        let first = FREE.lock().take(pages).ok_or(PlatformError { what: "reserve addresses", bytes })?;
        let alias = ARENA + first * PAGE_SIZE;
        self.segments.base = if domain == Domain::Kernel { alias } else { layout::BASE };
        let Ok(own) = Box::try_new_in(Own { alias, pages, user: None }, Global) else {
            FREE.lock().give_back(first, pages);
            return Err(no_pages(pages));
        };
        self.own = Some(own);
        match self.map(domain) {
            Ok(()) => Ok(self),
            Err(_) => {
                self.release();
                Err(no_pages(pages))
            }
        }
    }

    fn map(&mut self, domain: Domain) -> Result<(), tables::OutOfFrames> {
        for (start, bytes) in self.alias().mapped() {
            tables::map_zeroed_range(start, bytes)?;
        }
        if let (Domain::User, Some(own)) = (domain, &mut self.own) {
            own.user = Some(UserSide::new(self.stack.into())?);
        }
        Ok(())
    }

    /// Whether it shares pages with others, which have their final permissions.
    pub const fn is_shared(&self) -> bool {
        self.own.is_none()
    }

    /// What a module of the user domain has besides.
    #[inline]
    pub fn user(&self) -> Option<&UserSide> {
        self.own.as_ref()?.user.as_ref()
    }

    /// Gives text and rodata pages of its own their final permissions; data has its own already.
    #[inline(never)]
    pub fn sealed(mut self) -> Result<Image, PlatformError> {
        let (segments, alias) = (self.segments, self.alias());
        let [text, rodata, _] = alias.all();
        // What runs in ring 3 never runs through the kernel's alias.
        let executable = if self.user().is_some() { READ_ONLY } else { READ_EXECUTE };
        for ((start, bytes), flags) in [(text, executable), (rodata, READ_ONLY)] {
            for address in (start..start + bytes as u64).step_by(PAGE_SIZE as usize) {
                tables::protect(address, flags);
            }
        }
        let shown = match &mut self.own {
            Some(own) => own.user.as_mut().map_or(Ok(()), |user| user.show(&segments, &alias)),
            None => Ok(()),
        };
        if shown.is_err() {
            self.release();
            return Err(PlatformError { what: "map pages in ring 3", bytes: alias.heap().1 as usize });
        }
        Ok(self)
    }

    /// The pages it takes, and the bytes of the kernel's heap.
    #[inline(always)]
    pub fn held(&self) -> Usage {
        match &self.own {
            None => packed::held(&self.segments),
            Some(own) => {
                let pages = self.alias().mapped().iter().map(|(_, bytes)| bytes.div_ceil(PAGE_SIZE)).sum();
                let user = own.user.as_ref().map_or(Usage::default(), UserSide::held);
                Usage { pages, table_bytes: size_of::<Own>() as u64, ..Usage::default() } + user
            }
        }
    }

    /// Gives all memory and the addresses back.
    #[inline(always)]
    pub fn release(self) {
        match self.own {
            None => packed::give_back(&self.segments),
            Some(own) => release_own(own, self.segments),
        }
    }

    /// Whether an access to `address` means that the stack has run out.
    pub fn guards(&self, address: u64) -> bool {
        is_within(address, 1, self.stack().0.saturating_sub(PAGE_SIZE), PAGE_SIZE)
    }

    /// The kernel's address of `length` bytes that are to the module at
    /// `address`, if they lie in its segments, its heap or its stack.
    pub fn alias_of(&self, address: u64, length: u64) -> Option<u64> {
        if self.segments.contains(address, length) {
            return Some(address - self.segments.base + self.alias().base);
        }
        self.stack_alias(address, length)
    }

    /// The same for bytes on its stack alone.
    pub fn stack_alias(&self, address: u64, length: u64) -> Option<u64> {
        let (start, size) = self.stack();
        let stack = self.user().map_or(start, UserSide::stack_alias);
        is_within(address, length, start, size).then(|| address - start + stack)
    }

    /// Whether these bytes lie in its data or its heap.
    pub fn is_data(&self, address: u64, length: u64) -> bool {
        let ([_, _, (data, size)], (heap, heap_size)) = (self.segments.all(), self.segments.heap());
        is_within(address, length, data, size as u64) || is_within(address, length, heap, heap_size)
    }

    /// The same for the input and the output of a module of the user domain.
    pub fn buffer_alias(&self, address: u64, length: u64) -> Option<u64> {
        self.user()?.buffer_alias(address, length)
    }

    /// Bytes that images have of pages they share.
    #[inline]
    pub fn shared_bytes() -> u64 {
        packed::used()
    }

    /// The segments as the kernel sees them.
    #[inline]
    fn alias(&self) -> Segments {
        let base = self.own.as_ref().map_or(self.segments.base, |own| own.alias);
        Segments { base, ..self.segments }
    }

    /// Where the stack begins in the kernel domain.
    #[inline(always)]
    pub const fn kernel_stack_top(&self) -> u64 {
        MODULE_STACK.bottom() + self.stack as u64
    }

    /// Where the stack begins, as the module sees it.
    pub fn stack_top(&self) -> u64 {
        if self.user().is_some() { layout::STACK_TOP } else { self.kernel_stack_top() }
    }

    /// The lowest address of the stack, as the module sees it, and its size.
    fn stack(&self) -> (u64, u64) {
        (self.stack_top() - u64::from(self.stack), self.stack.into())
    }

    fn segment(&mut self, index: usize) -> &mut [u8] {
        let (start, bytes) = self.alias().all()[index];
        let shift = if self.is_shared() { packed::shifts()[index] } else { 0 };
        // SAFETY: `reserve` found these bytes writable at this address for this image alone, and
        // the draft is borrowed for as long as the slice lives. A segment
        // without bytes has no page; its address is aligned and not null.
        unsafe { core::slice::from_raw_parts_mut(start.wrapping_add(shift) as *mut u8, bytes) }
    }
}

/// Gives pages and addresses of an image back that has its own.
#[inline(never)]
fn release_own(own: Box<Own>, segments: Segments) {
    let Own { alias, pages, .. } = *own;
    // First of all nobody else sees them any more.
    drop(own);
    for (start, bytes) in (Segments { base: alias, ..segments }).mapped() {
        tables::unmap_range(start, bytes);
    }
    FREE.lock().give_back((alias - ARENA) / PAGE_SIZE, pages);
}

/// So many pages can't be had.
#[cold]
const fn no_pages(pages: u64) -> PlatformError {
    PlatformError { what: "map pages", bytes: (pages * PAGE_SIZE) as usize }
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
