//! The tables that the firmware left (ACPI).

use core::sync::atomic::{AtomicU64, Ordering};

use alloc::vec::Vec;

use bareflow_containment::page_tables::translate;
use bareflow_devices::Registers;
use bareflow_devices::acpi::{AcpiError, find_table};

use super::window::Window;
use crate::memory::layout::PAGE_SIZE;
use crate::memory::physical;

/// The address of the pointer to the tables; 0 if the boot loader told none.
static POINTER: AtomicU64 = AtomicU64::new(0);

/// Keeps the address of the pointer to the tables.
pub fn keep_pointer(address: u64) {
    POINTER.store(address, Ordering::Relaxed);
}

/// Reads the table `name`, if there is one.
///
/// # Errors
/// The tables can't be read.
pub fn table(name: &[u8; 4]) -> Result<Option<Vec<u8>>, AcpiError> {
    match POINTER.load(Ordering::Relaxed) {
        0 => Ok(None),
        pointer => find_table(read, pointer, name),
    }
}

/// Fills `into` from a physical address. Tables lie in memory, or behind its end.
fn read(address: u64, into: &mut [u8]) -> bool {
    let Some(end) = address.checked_add(into.len() as u64) else { return false };
    let pages = (address & !(PAGE_SIZE - 1)..end).step_by(PAGE_SIZE as usize);
    let is_mapped = |page: u64| page < 1 << 46 && translate(physical(page) as u64) == Some(page);
    if pages.clone().all(is_mapped) {
        for (byte, place) in into.iter_mut().zip(address..) {
            // SAFETY: it is mapped, as was just seen, and the firmware's own: nothing writes there.
            *byte = unsafe { physical(place).read_volatile() };
        }
        return true;
    }
    // SAFETY: the firmware says that tables are there. It is no memory that the kernel uses, all of which is mapped, and is only read.
    let Ok(window) = (unsafe { Window::new(address, into.len() as u64) }) else { return false };
    into.iter_mut().zip(0..).for_each(|(byte, place)| *byte = window.read_u8(place));
    true
}
