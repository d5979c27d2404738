//! The mappings of a module of the user domain besides its image: page tables of its own, a stack, a context, and
//! buffers for input and output.

use core::sync::atomic::Ordering;

use bareflow_abi::Context;
use bareflow_abi::interface::Side;
use bareflow_loader::segments::PAGE_SIZE;
use bareflow_loader::{PeakUse, Segments, Usage};
use spin::Once;
use x86_64::structures::paging::PageTableFlags;

use super::buffer::MappedBuffer;
use super::pages::Pages;
use super::window::Window;
use crate::layout::user as layout;
use crate::memory::address_space::{AddressSpace, EXECUTE, READ, WRITE};
use crate::memory::page_tables::MapError;
use crate::syscall_stubs;

/// The pages of stubs and of services, which all modules share.
static SHARED: Once<Option<(Pages, Pages)>> = Once::new();

/// The room for output that each module has at any time, in bytes; more is allocated if there is memory.
pub const RESERVED_OUTPUT_BYTES: usize = 256 << 10;

/// The frames that are reserved for a module for its output, and for inputs that are not long, with their page tables.
const OUTPUT_FRAMES: u64 = RESERVED_OUTPUT_BYTES as u64 / PAGE_SIZE + 2;
const INPUT_FRAMES: u64 = 16 + 2;

/// The most bytes that are taken from an output word by word.
const MOST_BY_WORDS: usize = 64;

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
    pub fn new(stack: u64) -> Result<UserMappings, MapError> {
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
        let (stubs, services) = shared.as_ref().ok_or(MapError)?;
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
    pub fn map_segments(&mut self, segments: &Segments, alias: &Segments) -> Result<(), MapError> {
        for ((seen, alias), flags) in segments.mapped().into_iter().zip(alias.mapped()).zip([EXECUTE, READ, WRITE]) {
            self.space.map(seen.0, alias.0, alias.1, flags)?;
        }
        self.write_context(segments.heap());
        Ok(())
    }

    /// Maps a window for the module.
    pub fn attach_window(&self, window: &Window) -> Result<(), MapError> {
        self.space.attach_window(window.directories())
    }

    /// Maps a region that the kernel has at `alias` for the module. Returns its address there.
    pub fn map_region(&self, alias: u64, size: u64, flags: PageTableFlags) -> Result<u64, MapError> {
        let address = alias.wrapping_add(layout::REGION_SHIFT);
        self.space.map(address, alias, size, flags).inspect_err(|_| self.space.unmap(address, size))?;
        Ok(address)
    }

    /// Unmaps a region that the kernel has at `alias`. Page tables become active by a write to CR3 alone, so the module
    /// finds nothing there when it goes on.
    pub fn unmap_region(&self, alias: u64, size: u64) {
        self.space.unmap(alias.wrapping_add(layout::REGION_SHIFT), size);
    }

    /// Returns the physical address of the root of its page tables.
    #[inline]
    pub fn root(&self) -> u64 {
        self.space.root()
    }

    /// Returns the kernel's address of the stack's end.
    #[inline]
    pub const fn stack_alias_top(&self) -> u64 {
        self.stack.start + self.stack.size
    }

    /// Returns the bytes of the stack that calls have used so far. It was full of zeros at first.
    pub fn peak_stack(&self) -> u64 {
        // SAFETY: these pages are mapped and belong to this module only, which is not running now.
        PeakUse::of_stack(unsafe {
            core::slice::from_raw_parts(self.stack.start as *const u64, self.stack.size as usize / 8)
        })
    }

    /// Returns the kernel's address of bytes of the input or the output.
    #[inline]
    pub fn buffer_alias(&self, side: Side, address: u64, length: u64) -> Option<u64> {
        self.buffer(side).alias_of(address, length)
    }

    #[inline(always)]
    const fn buffer(&self, side: Side) -> &MappedBuffer {
        match side {
            Side::Input => &self.input,
            Side::Output => &self.output,
        }
    }

    /// Copies the input to where the module sees it.
    #[inline]
    pub fn fill_input(&self, input: &[u8]) -> Result<(), MapError> {
        if input.is_empty() {
            return Ok(());
        }
        self.make_input(input.len())?;
        if let Some(pages) = self.input.pages.lock().as_ref() {
            pages.write(input);
        }
        Ok(())
    }

    /// Makes room for `bytes` of input.
    #[inline]
    pub fn make_input(&self, bytes: usize) -> Result<(), MapError> {
        if bytes as u64 <= self.input.size.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.input.grow(bytes as u64, &self.space, READ)
    }

    /// Returns whether there is room for so many bytes of input and of output.
    #[inline]
    pub fn has_room(&self, (input, output): (usize, usize)) -> bool {
        input as u64 <= self.input.size.load(Ordering::Relaxed)
            && output as u64 <= self.output.size.load(Ordering::Relaxed)
    }

    /// Writes bytes into a buffer, if there is room for them.
    #[inline(always)]
    pub fn write_buffer(&self, side: Side, at: usize, bytes: &[u8]) {
        if let Some(target) = self.buffer(side).room_at(at, bytes.len()) {
            // SAFETY: the bytes are mapped writable there, as was just checked, and belong to this module alone, which is
            // not running.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len()) };
        }
    }

    /// Copies bytes of the output. Then clears them, since the next call may be another client's.
    #[inline(always)]
    pub fn take_output_at(&self, at: usize, bytes: &mut [u8]) {
        if let Some(source) = self.output.room_at(at, bytes.len()) {
            // SAFETY: as above.
            unsafe { take(source, bytes) };
        }
    }

    /// Makes room for `capacity` bytes of output.
    #[inline]
    pub fn make_output(&self, capacity: usize) -> Result<(), MapError> {
        if capacity as u64 <= self.output.size.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.output.grow(capacity as u64, &self.space, WRITE)
    }

    /// Leaves nothing of what the module and its callers wrote to its stack and to its buffers.
    pub fn wipe(&self) {
        self.stack.clear();
        self.clear_buffers();
    }

    /// Leaves nothing of what the module and its callers wrote to its buffers.
    pub fn clear_buffers(&self) {
        for buffer in [&self.input, &self.output] {
            buffer.pages.lock().as_ref().into_iter().for_each(Pages::clear);
        }
    }

    /// Writes all of the context, for a module with this heap.
    pub fn write_context(&self, heap: (u64, u64)) {
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
    pub fn prepare(&self, caller: u32, input: usize, output: usize) {
        // SAFETY: that much room was just made. Both pages are mapped writable and belong to this module only, which
        // is not running.
        unsafe {
            (*self.context_alias()).reset_buffers(caller, input, output);
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

/// Copies bytes from `source`, and clears them there. A few words are moved one by one: two
/// calls for them would take longer.
///
/// # Safety
/// As many bytes are mapped writable from `source` on, and nothing else uses them meanwhile.
#[inline(always)]
unsafe fn take(source: *mut u8, bytes: &mut [u8]) {
    let length = bytes.len();
    if length > MOST_BY_WORDS || !length.is_multiple_of(8) {
        // SAFETY: as the caller promises.
        unsafe {
            core::ptr::copy_nonoverlapping(source, bytes.as_mut_ptr(), length);
            source.write_bytes(0, length);
        }
        return;
    }
    for (index, word) in bytes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        // SAFETY: as the caller promises; the word lies within the length.
        unsafe {
            let source = source.cast::<[u8; 8]>().add(index);
            *word = source.read();
            source.write([0; 8]);
        }
    }
}

/// Makes the pages that all modules share.
fn shared_pages() -> Result<(Pages, Pages), MapError> {
    let (stubs, services) = (Pages::new(PAGE_SIZE)?, Pages::new(PAGE_SIZE)?);
    stubs.write(&syscall_stubs::page());
    services.write(&syscall_stubs::table());
    Ok((stubs, services))
}
