//! Memory: the allocator of frames ([`frames`]), the kernel's page tables ([`page_tables`]), and its heap.

pub mod frames;
pub mod layout;
mod page_tables;

use core::alloc::{GlobalAlloc, Layout};
use core::arch::asm;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use bareflow_containment::HEAP_BYTES;
use bareflow_containment::page_tables::translate_at;
use bootloader_api::BootInfo;
use bootloader_api::info::MemoryRegionKind;
use linked_list_allocator::LockedHeap;
use spin::Once;

use layout::{KERNEL_STACK, PAGE_SIZE, PHYSICAL_MAP};

/// The most bytes of the kernel's heap, and its largest share of all memory. Of 128 MiB it has room for the longest
/// blob that is loaded, for the one that replaces it, and for answers.
const HEAP_SIZE: u64 = 1 << 30;
const HEAP_SHARE: (u64, u64) = (3, 8);

#[global_allocator]
static HEAP: Heap = Heap(LockedHeap::empty());

/// The kernel's heap, which counts the allocated bytes.
struct Heap(LockedHeap);

// SAFETY: all calls go to the heap it wraps.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the same.
        let block = unsafe { self.0.alloc(layout) };
        if !block.is_null() {
            HEAP_BYTES.fetch_add(layout.size() as u64, Ordering::Relaxed);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HEAP_BYTES.fetch_sub(layout.size() as u64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { self.0.dealloc(block, layout) }
    }
}

/// The information from the boot loader that is needed later.
#[derive(Debug)]
pub struct BootFacts {
    /// The command line.
    pub command_line: &'static str,
    /// The boot archive; empty when there is none.
    pub archive: &'static [u8],
    /// The clock when the kernel was entered.
    pub entered: u64,
    /// The address of the pointer to the firmware's tables; 0 if none is known.
    pub firmware_tables: u64,
    /// Whether a graphics mode is set, so that there is no text screen.
    pub graphics: bool,
}

/// The information from the boot loader, and the function that continues the boot.
static CONTINUATION: Once<(BootFacts, Continuation)> = Once::new();

/// The end of the memory that the kernel uses, below 4 GiB and above.
static MEMORY_ENDS: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// The address at which the second part of memory begins, behind the first part and the registers of devices.
const HIGH_MEMORY: u64 = 4 << 30;

/// The kernel's first function in its own page tables.
type Continuation = fn(&'static BootFacts) -> !;

/// Takes over all memory from the boot loader and continues in `next`, in the kernel's own page tables and on its own
/// stack. `entered`: the clock when the kernel was entered.
pub fn init(info: &'static mut BootInfo, command_line: &'static str, entered: u64, next: Continuation) -> ! {
    let Some(early_offset) = info.physical_memory_offset.into_option() else {
        panic!("the boot loader did not map physical memory; boot with the configuration this kernel carries");
    };
    let usable = info.memory_regions.iter().filter(|region| region.kind == MemoryRegionKind::Usable);
    frames::add_all(usable.map(|region| (region.start, region.end)), early_offset);
    let archive = find_archive(info, early_offset);
    // RAM ends at the end of the last region that the boot loader reported.
    let ram = info.memory_regions.iter().filter(|region| !matches!(region.kind, MemoryRegionKind::UnknownBios(_)));
    let end = ram.map(|region| region.end).chain([archive.0 + archive.1]).max().unwrap_or(0);
    let own = info
        .memory_regions
        .iter()
        .filter(|region| matches!(region.kind, MemoryRegionKind::Usable | MemoryRegionKind::Bootloader));
    for end in own.map(|region| region.end) {
        let [low, high] = &MEMORY_ENDS;
        if end <= HIGH_MEMORY { low } else { high }.fetch_max(end, Ordering::Relaxed);
    }
    let heap = frames::allocate_largest(HEAP_SIZE, HEAP_SHARE);
    let root = page_tables::build(early_offset, end);
    let boot = BootFacts {
        command_line,
        entered,
        // SAFETY: `find_archive` checked that these bytes are contiguous; none of their frames counts as usable.
        archive: unsafe { core::slice::from_raw_parts(physical(archive.0), archive.1 as usize) },
        firmware_tables: info.rsdp_addr.into_option().unwrap_or(0),
        graphics: info.framebuffer.as_ref().is_some(),
    };
    CONTINUATION.call_once(|| (boot, next));
    frames::use_offset(PHYSICAL_MAP);
    // SAFETY: the new tables map the kernel's image where it is, so that execution goes
    // on; nothing on the old stack is used again, as `enter` does not return.
    unsafe {
        asm!(
            "mov cr3, {root}",
            "mov rsp, {stack}",
            "xor ebp, ebp",
            "call {enter}",
            "ud2",
            root = in(reg) root,
            stack = in(reg) KERNEL_STACK.top(),
            enter = sym enter,
            in("rdi") heap.0,
            in("rsi") heap.1,
            options(noreturn),
        )
    }
}

/// Runs first on the kernel's own stack: sets up the heap and continues the boot.
extern "C" fn enter(heap: u64, heap_size: u64) -> ! {
    // SAFETY: these frames were allocated only for this, and the physical map covers them.
    unsafe { HEAP.0.lock().init(physical(heap), heap_size as usize) };
    match CONTINUATION.get() {
        Some((boot, next)) => next(boot),
        None => crate::power::exit_qemu(crate::power::ExitCode::Panicked),
    }
}

/// Returns the virtual address of a physical one, in the kernel's own page tables.
pub const fn physical(address: u64) -> *mut u8 {
    (PHYSICAL_MAP + address) as *mut u8
}

/// Returns the addresses of memory, from its beginnings to the last that the kernel uses.
pub fn memory_ranges() -> [Range<u64>; 2] {
    let [low, high] = MEMORY_ENDS.each_ref().map(|end| end.load(Ordering::Relaxed));
    [0..low, HIGH_MEMORY..high.max(HIGH_MEMORY)]
}

/// Returns the start and the end of the kernel's image, as virtual addresses of whole pages.
pub fn image_range() -> (u64, u64) {
    let [start, _, _, end] = page_tables::image_borders();
    (start, end)
}

/// Returns the physical address and the length of the boot archive; a length of 0 if there is none, or it is not
/// contiguous.
fn find_archive(info: &BootInfo, early_offset: u64) -> (u64, u64) {
    let Some(start) = info.ramdisk_addr.into_option() else { return (0, 0) };
    // SAFETY: the boot loader mapped physical memory there.
    let translate = |address| unsafe { translate_at(early_offset, address) }.map(|physical| physical.start);
    let Some(first) = translate(start) else { return (0, 0) };
    let in_a_row = (0..info.ramdisk_len)
        .step_by(PAGE_SIZE as usize)
        .all(|offset| translate(start + offset) == Some(first + offset));
    if in_a_row { (first, info.ramdisk_len) } else { (0, 0) }
}
