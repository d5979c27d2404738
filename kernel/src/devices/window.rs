//! The window in which devices' registers are mapped, uncached. The mappings are permanent.

use bareflow_containment::page_tables::map_device;
use bareflow_devices::Registers;
use spin::Mutex;

use crate::memory::layout::{DEVICE_WINDOW, DEVICE_WINDOW_BYTES, PAGE_SIZE};

/// The most ranges that are mapped.
const RANGES: usize = 64;

/// Registers that can't be mapped.
#[derive(Debug, thiserror::Error)]
#[error(
    "the device's registers take {size} bytes, expected frames to map them and {DEVICE_WINDOW_BYTES} at the most; give the \
     machine more memory or another device"
)]
pub struct WindowError {
    /// Bytes they take.
    size: u64,
}

struct Windows {
    /// The physical start, the bytes, and the virtual start of each range.
    ranges: [(u64, u64, u64); RANGES],
    count: usize,
    used: u64,
}

static WINDOWS: Mutex<Windows> = Mutex::new(Windows { ranges: [(0, 0, 0); RANGES], count: 0, used: 0 });

/// Maps `size` bytes of registers that begin at `physical`, unless they are mapped already.
///
/// # Safety
/// There is no memory, and there are no registers on which the kernel relies.
pub unsafe fn map(physical: u64, size: u64) -> Result<(), WindowError> {
    let mut windows = WINDOWS.lock();
    if find_in(&windows, physical, size).is_some() {
        return Ok(());
    }
    let failed = WindowError { size };
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
        // SAFETY: the caller promises what is there, and the page was not used yet.
        if unsafe { map_device(address + offset, start + offset) }.is_err() {
            return Err(failed);
        }
    }
    windows.count += 1;
    Ok(())
}

fn find_in(windows: &Windows, physical: u64, size: u64) -> Option<u64> {
    let end = physical.checked_add(size)?;
    let mut ranges = windows.ranges.iter().take(windows.count);
    let inside = |&&(start, length, _): &&(u64, u64, u64)| start <= physical && end <= start + length;
    ranges.find(inside).map(|&(start, _, address)| address + (physical - start))
}

/// Registers of a device that are mapped, all of them in one range.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    start: u64,
    length: u64,
}

impl Window {
    /// Maps `length` bytes of registers at `physical`.
    ///
    /// # Errors
    /// There is no room for them.
    ///
    /// # Safety
    /// As of [`map`].
    pub unsafe fn new(physical: u64, length: u64) -> Result<Window, WindowError> {
        // SAFETY: the caller promises the same.
        unsafe { map(physical, length) }?;
        let start = find_in(&WINDOWS.lock(), physical, length).ok_or(WindowError { size: length })?;
        Ok(Window { start, length })
    }

    /// Returns the address of a register.
    pub const fn address(self, offset: u64) -> u64 {
        self.start + offset
    }

    /// Reads eight bytes, at once.
    #[inline]
    pub fn read_u64(self, offset: u64) -> u64 {
        // SAFETY: as of `Registers`' methods, below.
        self.register::<u64>(offset).map_or(u64::MAX, |register| unsafe { register.read_volatile() })
    }

    /// Writes eight bytes, at once.
    #[inline]
    pub fn write_u64(self, offset: u64, value: u64) {
        if let Some(register) = self.register::<u64>(offset) {
            // SAFETY: as above.
            unsafe { register.write_volatile(value) };
        }
    }

    /// Returns a register of `T`'s size, if it is aligned and there.
    fn register<T>(self, offset: u64) -> Option<*mut T> {
        let size = size_of::<T>() as u64;
        let is_there = offset.checked_add(size).is_some_and(|end| end <= self.length);
        let address = self.start.wrapping_add(offset);
        (is_there && address.is_multiple_of(size)).then_some(address as *mut T)
    }
}

/// Implements the reads and writes, which are alike for all sizes.
macro_rules! registers {
    ($($read:ident, $write:ident: $word:ty;)+) => {
        impl Registers for Window {
            fn length(&self) -> u64 {
                self.length
            }

            $(
                #[inline]
                fn $read(&self, offset: u64) -> $word {
                    // SAFETY: `new` mapped the registers, for good, and `register` checked the place. What is behind them is no
                    // memory, as the caller of `new` promised.
                    self.register::<$word>(offset).map_or(<$word>::MAX, |register| unsafe { register.read_volatile() })
                }

                #[inline]
                fn $write(&self, offset: u64, value: $word) {
                    if let Some(register) = self.register::<$word>(offset) {
                        // SAFETY: as above.
                        unsafe { register.write_volatile(value) };
                    }
                }
            )+
        }
    };
}

registers! {
    read_u8, write_u8: u8;
    read_u16, write_u16: u16;
    read_u32, write_u32: u32;
}
