//! The window in which devices' registers are mapped, uncached. The mappings are permanent.

use core::ptr::NonNull;

use bareflow_containment::page_tables::map_device;
use spin::Mutex;

use super::TransportError;
use crate::memory::layout::{DEVICE_WINDOW, DEVICE_WINDOW_BYTES, PAGE_SIZE};

/// The most ranges that are mapped: six for each of two devices.
const RANGES: usize = 12;

struct Windows {
    /// The physical start, the bytes, and the virtual start of each range.
    ranges: [(u64, u64, u64); RANGES],
    count: usize,
    used: u64,
}

static WINDOWS: Mutex<Windows> = Mutex::new(Windows { ranges: [(0, 0, 0); RANGES], count: 0, used: 0 });

/// Maps `size` bytes of registers that begin at `physical`, unless they are mapped already.
pub fn map(physical: u64, size: u64) -> Result<(), TransportError> {
    let mut windows = WINDOWS.lock();
    if find_in(&windows, physical, size).is_some() {
        return Ok(());
    }
    let failed = TransportError::Registers { size };
    let start = physical & !(PAGE_SIZE - 1);
    let end = physical.checked_add(size).and_then(|end| end.checked_next_multiple_of(PAGE_SIZE));
    let Some(pages) = end.map(|end| end - start).filter(|pages| pages + windows.used <= DEVICE_WINDOW_BYTES) else {
        return Err(failed);
    };
    let address = DEVICE_WINDOW + windows.used;
    let count = windows.count;
    let Some(range) = windows.ranges.get_mut(count) else { return Err(failed) };
    *range = (start, pages, address);
    // Pages that were mapped before one failed are not used again.
    windows.used += pages;
    for offset in (0..pages).step_by(PAGE_SIZE as usize) {
        // SAFETY: a device said that its registers are there, and the page was not used yet.
        if unsafe { map_device(address + offset, start + offset) }.is_err() {
            return Err(failed);
        }
    }
    windows.count += 1;
    Ok(())
}

/// Returns the address at which `size` bytes of registers at `physical` are mapped; `None` if [`map`] did not map
/// them.
pub fn find(physical: u64, size: u64) -> Option<NonNull<u8>> {
    let address = find_in(&WINDOWS.lock(), physical, size)?;
    NonNull::new(address as *mut u8)
}

fn find_in(windows: &Windows, physical: u64, size: u64) -> Option<u64> {
    let end = physical.checked_add(size)?;
    let mut ranges = windows.ranges.iter().take(windows.count);
    let inside = |&&(start, length, _): &&(u64, u64, u64)| start <= physical && end <= start + length;
    ranges.find(inside).map(|&(start, _, address)| address + (physical - start))
}
