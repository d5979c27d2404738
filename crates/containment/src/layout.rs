//! The addresses that the containment uses: all from [`START`] on, in rising order, and what a module in ring 3 sees.
//!
//! | region | from | bytes |
//! |---|---|---|
//! | stacks of modules in ring 0 | [`MODULE_STACK`] | 2 MiB for each of [`MODULE_STACKS`] |
//! | the local APIC's registers | [`LOCAL_APIC`] | 4 KiB |
//! | text of images | [`IMAGES`] | 256 MiB |
//! | writable aliases of shared text and rodata | [`WRITE_ALIAS`] | 32 MiB |
//! | rodata, then data of images | [`IMAGES`] and their distances | 256 MiB each |
//! | aliases of what modules in ring 3 use | [`ALIAS_RANGE`] | up to the last page but one |
//!
//! Windows, which linear memories grow in, lie in the kernel's half far below, where the root's entries are free
//! (`memory/window_tables.rs`).

use bareflow_abi::layout::{DATA_OFFSET, IMAGE_SPAN, MAX_SEGMENT_SIZE, RODATA_OFFSET};
use bareflow_abi::memory::WINDOW_SIZE;

/// The lowest address of all: a kernel lies below it, in the same two gigabytes, so that calls are near ones.
pub const START: u64 = MODULE_STACK.start;

/// The size of a page and of a frame, in bytes.
pub const PAGE_SIZE: u64 = 4096;

/// The stack of modules in the kernel domain: below its end, above an unmapped page. Each module's begins as far above
/// its end as its budget allows.
pub const MODULE_STACK: Stack = Stack { start: 0xffff_ffff_8d10_0000, pages: 256 };

/// The distance from the stack of a call to that of a call inside of it.
pub const MODULE_STACK_DISTANCE: u64 = 2 << 20;

/// The number of stacks of modules in the kernel domain: one for each call that may lie in others, and one for what
/// clients ask for while the innermost is running.
pub const MODULE_STACKS: u64 = bareflow_loader::MAX_DEPTH as u64 + 1;

/// The page with the local APIC's registers.
pub const LOCAL_APIC: u64 = 0xffff_ffff_8e00_0000;

/// The base of the first image. Its rodata and data lie in the same two gigabytes.
pub const IMAGES: u64 = 0xffff_ffff_9000_0000;

/// Bytes of the arena that small images share: of text, of rodata, and of data.
pub const SHARED_ARENA_BYTES: u64 = 16 << 20;

/// The writable alias of the shared arena's text, followed by that of its rodata.
pub const WRITE_ALIAS: u64 = 0xffff_ffff_b000_0000;

/// The kernel's aliases of stacks, contexts and buffers of modules in ring 3.
pub const ALIAS_RANGE: u64 = 0xffff_ffff_f000_0000;

/// Pages of that range.
pub const ALIAS_RANGE_PAGES: u64 = 0xffff;

/// Addresses of a module in ring 3: all but regions below 2 GiB, so that the trampoline compares them with constants.
pub mod user {
    use super::{ALIAS_RANGE, ALIAS_RANGE_PAGES, PAGE_SIZE};

    /// The image's base.
    pub const BASE: u64 = 0x0040_0000;
    /// The input; the output begins where its room ends.
    pub const INPUT: u64 = 0x6400_0000;
    /// The output.
    pub const OUTPUT: u64 = 0x6c00_0000;
    /// Bytes of room for each.
    pub const BUFFER_ROOM: u64 = OUTPUT - INPUT;
    /// The end of the stack, which lies above an unmapped page.
    pub const STACK_TOP: u64 = 0x7e00_0000;
    /// The largest stack, in bytes.
    pub const MAX_STACK: u64 = 16 << 20;
    /// The page of the context.
    pub const CONTEXT: u64 = 0x7fff_d000;
    /// The page of the table of services.
    pub const SERVICES: u64 = 0x7fff_e000;
    /// The page of the stubs.
    pub const STUBS: u64 = 0x7fff_f000;
    /// The regions that it shares with others, each as far from here as the kernel's alias is from the first of all. So a
    /// region has the same address in every module.
    pub const REGIONS: u64 = 0x1_0000_0000;
    /// Bytes of room for them.
    pub const REGIONS_ROOM: u64 = ALIAS_RANGE_PAGES * PAGE_SIZE;
    /// The distance from the kernel's alias of a region to its address in a module, wrapping.
    pub const REGION_SHIFT: u64 = REGIONS.wrapping_sub(ALIAS_RANGE);
    /// The window of its linear memory, in parts of a GiB of their own.
    pub const WINDOW: u64 = 0x2_0000_0000;
    /// The distance of the stubs from each other: the one that ends a call, those of `log`, `clock`, `call`, `invoke` and `grow`.
    pub const STUB_SIZE: u64 = 16;
    /// Bytes of the instruction `syscall`: the processor reports the address after it.
    pub const SYSCALL_SIZE: u64 = 2;
}

/// A stack. The page at `start` stays unmapped: running into it faults.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    /// Address of the guard page.
    pub start: u64,
    /// Mapped pages above it.
    pub pages: u64,
}

impl Stack {
    /// Returns the address above the stack: its first push goes below it.
    pub const fn top(&self) -> u64 {
        self.start + (self.pages + 1) * PAGE_SIZE
    }

    /// Returns the stack of calls that lie `depth` deep in others.
    pub const fn at_depth(self, depth: u64) -> Stack {
        Stack { start: self.start + depth * MODULE_STACK_DISTANCE, pages: self.pages }
    }

    /// Returns the lowest address of the stack.
    pub const fn bottom(&self) -> u64 {
        self.start + PAGE_SIZE
    }

    /// Returns its size in bytes.
    pub const fn size(&self) -> u64 {
        self.pages * PAGE_SIZE
    }
}

/// Checks that each region, given as its start and its bytes, begins after the end of the one before.
pub const fn are_apart(regions: &[(u64, u64)]) -> bool {
    match regions {
        [(start, bytes), rest @ ..] => match rest {
            [(next, _), ..] => *start + *bytes <= *next && are_apart(rest),
            [] => start.checked_add(*bytes).is_some(),
        },
        [] => true,
    }
}

const _: () = assert!(are_apart(&[
    (MODULE_STACK.start, MODULE_STACKS * MODULE_STACK_DISTANCE),
    (LOCAL_APIC, PAGE_SIZE),
    (IMAGES, MAX_SEGMENT_SIZE),
    (WRITE_ALIAS, 2 * SHARED_ARENA_BYTES),
    (IMAGES + RODATA_OFFSET, MAX_SEGMENT_SIZE),
    (IMAGES + DATA_OFFSET, MAX_SEGMENT_SIZE),
    (ALIAS_RANGE, ALIAS_RANGE_PAGES * PAGE_SIZE),
]));
const _: () = assert!(MODULE_STACK.top() - MODULE_STACK.start <= MODULE_STACK_DISTANCE);
const _: () = assert!(are_apart(&[
    (user::BASE, IMAGE_SPAN),
    (user::INPUT, user::BUFFER_ROOM),
    (user::OUTPUT, user::BUFFER_ROOM),
    (user::STACK_TOP - user::MAX_STACK, user::MAX_STACK),
    (user::CONTEXT, PAGE_SIZE),
    (user::SERVICES, PAGE_SIZE),
    (user::STUBS, PAGE_SIZE),
    (user::REGIONS, user::REGIONS_ROOM),
    (user::WINDOW, WINDOW_SIZE),
]));
