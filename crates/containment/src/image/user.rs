//! The mappings of a module of the user domain besides its image: page tables of its own, a stack, a context, and
//! buffers for input and output.

use core::sync::atomic::{AtomicU64, Ordering};

use allocator_api2::alloc::Global;
use bareflow_abi::Context;
use bareflow_loader::segments::{PAGE_SIZE, is_within};
use bareflow_loader::{PeakUse, RangeAllocator, Segments, Usage};
use spin::{Mutex, Once};

use crate::layout::{ALIAS_RANGE, ALIAS_RANGE_PAGES, user as layout};
use crate::memory::address_space::{AddressSpace, EXECUTE, READ, WRITE};
use crate::memory::frames::Promise;
use crate::memory::page_tables::{self, OutOfFrames};
use crate::stubs;

/// The free pages of the range of aliases.
static RANGES: Mutex<RangeAllocator<Global>> = Mutex::new(RangeAllocator::new_in(Global));

/// The pages of stubs and of services, which all modules share.
static SHARED: Once<Option<(Pages, Pages)>> = Once::new();

/// Opens the range of aliases.
pub fn init_alias_range() {
    RANGES.lock().free(0, ALIAS_RANGE_PAGES);
}

/// Zeroed pages that the kernel can write to.
#[derive(Debug)]
struct Pages {
    start: u64,
    size: u64,
}

impl Pages {
    fn new(bytes: u64) -> Result<Pages, OutOfFrames> {
        let size = bytes.next_multiple_of(PAGE_SIZE);
        let first = RANGES.lock().allocate(size / PAGE_SIZE).ok_or(OutOfFrames)?;
        let pages = Pages { start: ALIAS_RANGE + first * PAGE_SIZE, size };
        page_tables::map_zeroed_range(pages.start, size)?;
        Ok(pages)
    }

    /// Copies `bytes` to the beginning.
    fn write(&self, bytes: &[u8]) {
        let length = bytes.len().min(self.size as usize);
        // SAFETY: these pages are mapped writable and belong to this value only; the module that sees them is not
        // running.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start as *mut u8, length) };
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        page_tables::unmap_range(self.start, self.size);
        RANGES.lock().free((self.start - ALIAS_RANGE) / PAGE_SIZE, self.size / PAGE_SIZE);
    }
}

/// The room for output that each module has at any time, in bytes; more is allocated if there is memory.
pub const PROMISED_OUTPUT_BYTES: usize = 256 << 10;

/// The frames that are promised to a module for its output, and for inputs that are not long, with their page tables.
const OUTPUT_FRAMES: u64 = PROMISED_OUTPUT_BYTES as u64 / PAGE_SIZE + 2;
const INPUT_FRAMES: u64 = 16 + 2;

/// The buffer of the input or the output. Its pages are mapped by the first call that needs them. Until then frames
/// are promised for them, so that a loaded module can be called, whatever was loaded after it.
#[derive(Debug)]
struct MappedBuffer {
    promise: Promise,
    address: u64,
    pages: Mutex<Option<Pages>>,
    /// The kernel's address of the pages, and their size in bytes.
    alias: AtomicU64,
    size: AtomicU64,
}

impl MappedBuffer {
    fn new(address: u64, frames: u64) -> Result<MappedBuffer, OutOfFrames> {
        let promise = Promise::new(frames).ok_or(OutOfFrames)?;
        Ok(MappedBuffer {
            promise,
            address,
            pages: Mutex::new(None),
            alias: AtomicU64::new(0),
            size: AtomicU64::new(0),
        })
    }

    /// Makes room for `bytes`, visible in `space` with `flags`.
    #[cold]
    #[inline(never)]
    fn grow(
        &self,
        bytes: u64,
        space: &AddressSpace,
        flags: x86_64::structures::paging::PageTableFlags,
    ) -> Result<(), OutOfFrames> {
        if bytes > layout::BUFFER_ROOM {
            return Err(OutOfFrames);
        }
        let promised = self.promise.redeem();
        let fresh = match Pages::new(bytes) {
            Ok(fresh) => fresh,
            Err(error) => {
                // This call asked for too much; the next one may ask for less.
                self.promise.renew(promised);
                return Err(error);
            }
        };
        space.unmap(self.address, self.size.swap(0, Ordering::Relaxed));
        *self.pages.lock() = None;
        if let Err(error) = space.map(self.address, fresh.start, fresh.size, flags) {
            // The module must not see any page that is freed.
            space.unmap(self.address, fresh.size);
            drop(fresh);
            self.promise.renew(promised);
            return Err(error);
        }
        self.alias.store(fresh.start, Ordering::Relaxed);
        self.size.store(fresh.size, Ordering::Relaxed);
        *self.pages.lock() = Some(fresh);
        Ok(())
    }

    fn alias_of(&self, address: u64, length: u64) -> Option<u64> {
        let inside = is_within(address, length, self.address, self.size.load(Ordering::Relaxed));
        inside.then(|| address - self.address + self.alias.load(Ordering::Relaxed))
    }
}

/// The mappings of a module of the user domain besides its image.
#[derive(Debug)]
pub struct UserMappings {
    space: AddressSpace,
    stack: Pages,
    /// The kernel's address of the word with a call's return address.
    return_address: u64,
    context: Pages,
    input: MappedBuffer,
    output: MappedBuffer,
}

impl UserMappings {
    /// Creates all mappings, with a stack of `stack` bytes.
    pub fn new(stack: u64) -> Result<UserMappings, OutOfFrames> {
        let stack = Pages::new(stack)?;
        let mappings = UserMappings {
            space: AddressSpace::new()?,
            return_address: stack.start + stack.size - 8,
            stack,
            context: Pages::new(PAGE_SIZE)?,
            input: MappedBuffer::new(layout::INPUT, INPUT_FRAMES)?,
            output: MappedBuffer::new(layout::OUTPUT, OUTPUT_FRAMES)?,
        };
        let shared = SHARED.call_once(|| shared_pages().ok());
        let (stubs, services) = shared.as_ref().ok_or(OutOfFrames)?;
        let space = &mappings.space;
        space.map(layout::STUBS, stubs.start, PAGE_SIZE, EXECUTE)?;
        space.map(layout::SERVICES, services.start, PAGE_SIZE, READ)?;
        space.map(layout::CONTEXT, mappings.context.start, PAGE_SIZE, WRITE)?;
        space.map(layout::STACK_TOP - mappings.stack.size, mappings.stack.start, mappings.stack.size, WRITE)?;
        Ok(mappings)
    }

    /// Returns the pages it takes.
    pub fn usage(&self) -> Usage {
        let buffers = [&self.input, &self.output].map(|buffer| buffer.size.load(Ordering::Relaxed));
        let bytes = self.stack.size + self.context.size + buffers.iter().sum::<u64>();
        Usage { pages: bytes / PAGE_SIZE + self.space.tables_held(), ..Usage::default() }
    }

    /// Maps the segments for the module, with their final permissions.
    pub fn map_segments(&mut self, segments: &Segments, alias: &Segments) -> Result<(), OutOfFrames> {
        for ((seen, alias), flags) in segments.mapped().into_iter().zip(alias.mapped()).zip([EXECUTE, READ, WRITE]) {
            self.space.map(seen.0, alias.0, alias.1, flags)?;
        }
        self.write_context(segments.heap());
        Ok(())
    }

    /// Returns the physical address of the root of its page tables.
    #[inline]
    pub fn root(&self) -> u64 {
        self.space.root()
    }

    /// Returns the kernel's address of the stack's lowest byte.
    pub const fn stack_alias(&self) -> u64 {
        self.stack.start
    }

    /// Returns the bytes of the stack that calls have used so far. It was full of zeros at first.
    pub fn peak_stack(&self) -> u64 {
        // SAFETY: these pages are mapped and belong to this module only, which is not running now.
        PeakUse::of_stack(unsafe {
            core::slice::from_raw_parts(self.stack.start as *const u64, self.stack.size as usize / 8)
        })
    }

    /// Returns the kernel's address of bytes of the input or the output.
    pub fn buffer_alias(&self, address: u64, length: u64) -> Option<u64> {
        self.input.alias_of(address, length).or_else(|| self.output.alias_of(address, length))
    }

    /// Copies the input to where the module sees it.
    #[inline]
    pub fn fill_input(&self, input: &[u8]) -> Result<(), OutOfFrames> {
        if input.is_empty() {
            return Ok(());
        }
        if input.len() as u64 > self.input.size.load(Ordering::Relaxed) {
            self.input.grow(input.len() as u64, &self.space, READ)?;
        }
        if let Some(pages) = self.input.pages.lock().as_ref() {
            pages.write(input);
        }
        Ok(())
    }

    /// Makes room for `capacity` bytes of output.
    #[inline]
    pub fn make_output(&self, capacity: usize) -> Result<(), OutOfFrames> {
        if capacity as u64 <= self.output.size.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.output.grow(capacity as u64, &self.space, WRITE)
    }

    /// Writes all of the context, for a module with this heap.
    fn write_context(&self, heap: (u64, u64)) {
        // SAFETY: the kernel does not use the addresses in the context. They are valid for the module, in its own
        // page tables.
        let context =
            unsafe { Context::from_raw_parts(layout::SERVICES, (layout::INPUT, 0), (layout::OUTPUT, 0), heap) };
        // SAFETY: the page is mapped writable and belongs to this module only, which is not running yet.
        unsafe { self.context_alias().write(context) };
    }

    const fn context_alias(&self) -> *mut Context<'static> {
        self.context.start as *mut Context<'_>
    }

    /// Prepares the context and the stack for a call. The parts that stay the same from call to call are not written
    /// again: a module that overwrites them misleads only itself.
    #[inline]
    pub fn prepare(&self, input: usize, output: usize) {
        // SAFETY: that much room was just made. Both pages are mapped writable and belong to this module only, which
        // is not running.
        unsafe {
            (*self.context_alias()).reset_buffers(input, output);
            (self.return_address as *mut u64).write(layout::STUBS);
        }
    }

    /// Copies the output and returns its length. Then clears it, since the next call may be another client's.
    #[inline]
    pub fn take_output(&self, output: &mut [u8]) -> usize {
        // SAFETY: the page is mapped, its length field is valid for any bytes, and the module is not running.
        let said = unsafe { (*self.context_alias()).output_length() };
        let length = said.min(output.len()).min(self.output.size.load(Ordering::Relaxed) as usize);
        if length > 0 {
            let alias = self.output.alias.load(Ordering::Relaxed) as *mut u8;
            // SAFETY: this many bytes are mapped writable there and fit in the slice, as just computed.
            unsafe {
                core::ptr::copy_nonoverlapping(alias, output.as_mut_ptr(), length);
                alias.write_bytes(0, length);
            }
        }
        length
    }
}

/// Makes the pages that all modules share.
fn shared_pages() -> Result<(Pages, Pages), OutOfFrames> {
    let (stubs, services) = (Pages::new(PAGE_SIZE)?, Pages::new(PAGE_SIZE)?);
    stubs.write(&stubs::page());
    services.write(&stubs::table());
    Ok((stubs, services))
}
