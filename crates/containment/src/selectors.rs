//! Segment selectors: their descriptors are in `traps/descriptor_tables.rs`.

/// The selector of the kernel's code. The selectors are in the order that `syscall` and `sysretq` require (Intel SDM
/// volume 2): code and data of the kernel, data and code of ring 3.
pub const KERNEL_CODE: u64 = 0x08;
/// The selector of ring 3's data.
pub const USER_DATA: u64 = 0x18 | 3;
/// The selector of ring 3's code.
pub const USER_CODE: u64 = 0x20 | 3;
