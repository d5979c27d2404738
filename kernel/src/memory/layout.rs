//! The address space: every region of the kernel's own half, in rising order. Those of modules begin behind them.
//!
//! | region | from | bytes |
//! |---|---|---|
//! | all physical memory | [`PHYSICAL_MAP`] | as much as there is |
//! | the kernel | [`KERNEL_BASE`] | up to the registers of devices |
//! | registers of devices | [`DEVICE_WINDOW`] | 32 MiB |
//! | its stack | [`KERNEL_STACK`] | 128 KiB |
//! | what modules use | [`START`] | up to the last page but one |

use bareflow_containment::layout::{START, Stack, are_apart};

pub use bareflow_containment::layout::PAGE_SIZE;
pub use bareflow_pvh::{KERNEL_BASE, PHYSICAL_MAP};

/// The window in which registers of devices are mapped.
pub const DEVICE_WINDOW: u64 = 0xffff_ffff_8a00_0000;

/// The size of that window, in bytes.
pub const DEVICE_WINDOW_BYTES: u64 = 32 << 20;

/// The kernel's stack: below its end, above an unmapped page.
pub const KERNEL_STACK: Stack = Stack { start: 0xffff_ffff_8d00_0000, pages: 32 };

const _: () = assert!(are_apart(&[
    (PHYSICAL_MAP, 1 << 46),
    (KERNEL_BASE, DEVICE_WINDOW - KERNEL_BASE),
    (DEVICE_WINDOW, DEVICE_WINDOW_BYTES),
    (KERNEL_STACK.start, KERNEL_STACK.top() - KERNEL_STACK.start),
    (START, 0),
]));
