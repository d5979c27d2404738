//! Memory of modules.
//!
//! Modules of the kernel domain share pages ([`shared_arena`]); those of the user domain have pages of their own
//! ([`dedicated_arena`]). What modules share lies in an arena of its own ([`region_arena`]).

mod dedicated_arena;
mod map;
mod region_arena;
mod shared_arena;
mod window;

use allocator_api2::boxed::Box;
use std::cell::UnsafeCell;
use std::io;
use std::ptr::{with_exposed_provenance, with_exposed_provenance_mut};

use bareflow_abi::{Context, Services};
use bareflow_loader::segments::is_within;
use bareflow_loader::{Domain, ImageSize, LinearMemory, PeakUse, Placement, PlatformError, Segments, WritableImage};

use crate::process::Child;
use dedicated_arena::DedicatedArena;
pub(crate) use dedicated_arena::unmap_image;
pub(crate) use region_arena::RegionArena;
use shared_arena::SharedArena;
pub(crate) use window::Window;

/// A module's memory.
#[derive(Debug)]
pub struct Image {
    pub(crate) segments: Segments,
    /// The top of the module's stack.
    pub(crate) stack_top: u64,
    /// The time limit of a call, in microseconds.
    pub(crate) time_us: u32,
    /// The services it declares.
    pub(crate) services: u32,
    /// The table of these services.
    pub(crate) table: &'static Services,
    pub(crate) domain: Domain,
    /// Whether it is of the user domain, and its process must be able to share regions.
    pub(crate) shares_regions: bool,
    /// The context of calls without input and output.
    context: UnsafeCell<Context<'static>>,
    /// The process it runs in, for the user domain.
    pub(crate) child: Option<Box<Child>>,
    /// The linear memory, if it has one.
    pub(crate) window: Option<Box<Window>>,
}

impl Image {
    /// Returns the context of calls without input and output. The next call does not use anything that an earlier one
    /// left in it.
    #[inline(always)]
    pub(crate) const fn context(&self) -> *mut Context<'static> {
        self.context.get()
    }

    /// Returns whether bytes lie in its data or bss.
    pub(crate) fn has_data(&self, address: u64, length: u64) -> bool {
        let [_, _, (data, size)] = self.segments.all();
        is_within(address, length, data, size as u64)
    }

    /// Returns whether bytes lie in its linear memory.
    pub(crate) fn has_memory(&self, address: u64, length: u64) -> bool {
        self.window.as_ref().is_some_and(|window| window.contains(address, length))
    }

    /// Writes the size of its linear memory into its data, which is mapped here. No code of the module is running.
    pub(crate) fn write_memory_size(&self) {
        if let Some(window) = &self.window {
            let (data, _) = self.segments.all()[2];
            let word = with_exposed_provenance_mut::<u64>((data + window.words() + 8) as usize);
            // SAFETY: validation has found that the words lie in the data, which is mapped writable.
            unsafe { word.write_unaligned(window.bytes()) };
        }
    }

    /// Passes bytes of its data, which lie there, to `look`. It has no process of its own, and no call of it is running.
    pub(crate) fn reach(&self, address: u64, length: u64, look: &mut dyn FnMut(&mut [u8])) -> bool {
        let is_here = self.child.is_none() && self.has_data(address, length);
        if is_here {
            let data = with_exposed_provenance_mut(address as usize);
            // SAFETY: these bytes of its data are mapped writable here, and no one else uses them while its module does not
            // run.
            look(unsafe { std::slice::from_raw_parts_mut(data, length as usize) });
        }
        is_here
    }

    /// Returns the most bytes of its heap that were allocated at the same time, if its allocator records that.
    ///
    /// For an image with a process of its own, this must be called there.
    pub(crate) fn peak_heap(&self) -> Option<u64> {
        let (heap, size) = self.segments.heap();
        // SAFETY: a heap takes whole pages, which are mapped there; its module does not run now.
        PeakUse::of_heap(size, || unsafe { with_exposed_provenance::<[u64; 2]>(heap as usize).read_volatile() })
    }
}

/// The memory of a module that is not yet sealed.
#[derive(Debug)]
pub struct UnsealedImage {
    image: Image,
    /// The distances from text, and from rodata, to their writable mappings.
    write_offsets: [u64; 2],
}

/// All arenas of a platform.
#[derive(Debug)]
pub(crate) struct Arenas {
    shared: Vec<SharedArena>,
    dedicated: Vec<DedicatedArena>,
    /// Made when it is first used.
    regions: Option<RegionArena>,
}

impl Arenas {
    pub fn new() -> io::Result<Arenas> {
        Ok(Arenas { shared: vec![SharedArena::new()?], dedicated: Vec::new(), regions: None })
    }

    /// Allocates zeroed, writable memory for an image, with the stack's top `stack_top` and the services in `table`.
    #[inline]
    pub fn allocate(
        &mut self,
        size: ImageSize,
        placement: &Placement,
        stack_top: u64,
        table: &'static Services,
    ) -> Result<UnsealedImage, PlatformError> {
        let Placement { domain, services, ref budget } = *placement;
        let (heap, time_us) = (budget.heap_bytes, budget.time_us);
        let bytes = || {
            [size.text_bytes, size.rodata_bytes, size.data_bytes, heap].into_iter().map(|bytes| bytes as usize).sum()
        };
        let error = |what| PlatformError { what, bytes: bytes() };
        let (base, write_offsets) = match domain {
            Domain::Kernel => allocate_in(&mut self.shared, SharedArena::new, |arena| {
                Some((arena.allocate(Segments::granules(&size, heap))?, arena.write_offsets()))
            }),
            Domain::User | Domain::Sandbox => allocate_in(&mut self.dedicated, DedicatedArena::new, |arena| {
                Some((arena.allocate(Segments::pages(&size, heap))?, [0; 2]))
            }),
        }
        .map_err(|_| error("reserve addresses"))?;
        let segments = Segments { base, size, heap_bytes: heap };
        let (heap_at, heap_size) = segments.heap();
        let context = UnsafeCell::new(Context::new(table, &[], &mut []).with_heap(heap_at, heap_size));
        let image = Image {
            segments,
            stack_top,
            time_us,
            services,
            table,
            domain,
            shares_regions: false,
            context,
            child: None,
            window: None,
        };
        if domain == Domain::User && dedicated_arena::map_writable(&segments).is_err() {
            self.release(&image);
            return Err(error("map pages"));
        }
        Ok(UnsealedImage { image, write_offsets })
    }

    /// Returns the arena of regions.
    ///
    /// It exists before any process that shares them, so that its addresses are free in all of these.
    pub fn regions(&mut self) -> io::Result<&mut RegionArena> {
        match &mut self.regions {
            Some(regions) => Ok(regions),
            none => Ok(none.insert(RegionArena::new()?)),
        }
    }

    /// Takes back an image's memory and addresses.
    #[inline]
    pub fn release(&mut self, image: &Image) {
        let base = image.segments.base;
        if let Some(arena) = self.shared.iter_mut().find(|arena| arena.has(base)) {
            arena.free(&image.segments);
        } else if let Some(arena) = self.dedicated.iter_mut().find(|arena| arena.has(base)) {
            arena.free(&image.segments);
        }
    }
}

/// Allocates in the first of `arenas` that has room, or in a new one.
#[inline]
fn allocate_in<A, T>(
    arenas: &mut Vec<A>,
    new: impl FnOnce() -> io::Result<A>,
    allocate: impl Fn(&mut A) -> Option<T>,
) -> io::Result<T> {
    if let Some(found) = arenas.iter_mut().find_map(&allocate) {
        return Ok(found);
    }
    arenas.try_reserve(1).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let mut arena = new()?;
    let found = allocate(&mut arena).ok_or(io::ErrorKind::OutOfMemory)?;
    arenas.push(arena);
    Ok(found)
}

impl UnsealedImage {
    /// Returns the image with a linear memory.
    ///
    /// # Errors
    /// There is no memory for it.
    #[expect(clippy::result_large_err, reason = "a box would be memory that may not be there")]
    pub(crate) fn with_memory(self, memory: &LinearMemory) -> Result<UnsealedImage, UnsealedImage> {
        let mut image = self.image;
        let is_copied = image.domain == Domain::User;
        let mapped = Window::map(memory).and_then(|window| {
            // The process of a module of the user domain is a copy of this one.
            if !is_copied {
                window.keep_from_copies()?;
            }
            Ok(window)
        });
        image.window = mapped.ok().and_then(|window| Box::try_new(window).ok());
        let (is_there, unsealed) = (image.window.is_some(), UnsealedImage { image, ..self });
        if is_there { Ok(unsealed) } else { Err(unsealed) }
    }

    /// Returns the image as it is: sealed, if it shares pages, which already have their final permissions.
    #[inline]
    pub(crate) fn into_image(self) -> Image {
        self.image
    }

    /// Whether the image shares pages with others.
    #[inline]
    pub(crate) fn is_shared(&self) -> bool {
        self.image.domain == Domain::Kernel
    }

    /// Whether its process must be able to share regions.
    #[inline]
    pub(crate) fn shares_regions(&self) -> bool {
        self.image.shares_regions
    }

    /// Seals an image with pages of its own: gives text and rodata their final permissions. Data already has them.
    #[expect(clippy::result_large_err, reason = "a box would be memory that may not be there")]
    pub(crate) fn seal(self) -> Result<Image, (Image, PlatformError)> {
        let image = self.image;
        match dedicated_arena::protect(&image.segments) {
            Ok(()) => Ok(image),
            Err(bytes) => Err((image, PlatformError { what: "protect pages", bytes: bytes as usize })),
        }
    }
}

impl WritableImage for UnsealedImage {
    fn base(&self) -> u64 {
        self.image.segments.base
    }
    fn memory_base(&self) -> u64 {
        self.image.window.as_ref().map_or(0, |window| window.base())
    }
    fn prepare_regions(&mut self, imports_them: impl FnOnce() -> bool) {
        self.image.shares_regions = self.image.domain == Domain::User && imports_them();
    }
    #[inline]
    fn segments(&mut self) -> [&mut [u8]; 3] {
        let [text, rodata, data] = self.image.segments.all();
        let [text_shift, rodata_shift] = self.write_offsets;
        let slice = |(start, bytes): (u64, usize), shift: u64| -> &mut [u8] {
            if bytes == 0 {
                return &mut [];
            }
            let address = with_exposed_provenance_mut(start.wrapping_add(shift) as usize);
            // SAFETY: `allocate` made these bytes writable for this image only, the segments do not overlap, and the
            // image is borrowed for as long as the slices live.
            unsafe { std::slice::from_raw_parts_mut(address, bytes) }
        };
        [slice(text, text_shift), slice(rodata, rodata_shift), slice(data, 0)]
    }
}
