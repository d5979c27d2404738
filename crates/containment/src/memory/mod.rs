//! Memory: frames ([`frames`]), and the mappings and their permissions, for the kernel ([`page_tables`]) and for modules
//! in ring 3 ([`address_space`]); linear memories are mapped for both at once ([`window_tables`]).

pub mod address_space;
pub mod frames;
pub mod page_tables;
pub mod window_tables;

use crate::kernel::physical_map;

/// Returns the virtual address of a physical one.
fn physical(address: u64) -> *mut u8 {
    (physical_map() + address) as *mut u8
}
