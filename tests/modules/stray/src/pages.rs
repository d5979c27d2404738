//! Physical addresses, by the kernel's page tables.

use core::arch::asm;

/// The address at which the kernel maps all memory.
const PHYSICAL_MAP: u64 = 0xffff_8000_0000_0000;

/// The bits of an entry: that it is one, that it is a page and no table, and its address.
const PRESENT: u64 = 1;
const PAGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Returns the physical address of a virtual one.
pub fn physical(address: u64) -> Option<u64> {
    let root: u64;
    // SAFETY: reading the register has no effect. This runs in ring 0, or ends in a fault.
    unsafe { asm!("mov {}, cr3", out(reg) root, options(nomem, nostack, preserves_flags)) };
    let mut entry = root & ADDRESS | PRESENT;
    for shift in [39, 30, 21, 12] {
        let table = (PHYSICAL_MAP + (entry & ADDRESS)) as *const u64;
        // SAFETY: the entry is present, so that a table is there, which the kernel maps with all memory.
        entry = unsafe { table.add((address >> shift & 511) as usize).read_volatile() };
        if entry & PRESENT == 0 {
            return None;
        }
        if shift == 12 || shift < 39 && entry & PAGE != 0 {
            let offset = address & ((1 << shift) - 1);
            return Some(entry & ADDRESS & !((1 << shift) - 1) | offset);
        }
    }
    None
}
