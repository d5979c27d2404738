//! The registers of a function that its driver reaches by itself.

use bareflow_device::DeviceError;

use super::{Bar, Bars};

/// Registers that no driver reaches: in the range `bar`, from an offset to another one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// The number of the range.
    pub bar: usize,
    /// The first offset, and the one behind the last.
    pub range: (u64, u64),
}

/// A register that a driver may reach: its range, and its offset in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverRegister {
    /// The range with it.
    pub bar: Bar,
    /// The offset.
    pub offset: u64,
}

/// Finds a register of `width` bytes at `offset` in the range with a number.
///
/// # Errors
/// The width or the offset is wrong, it does not lie in the range, which may be none in memory, or it meets one of `reserved`.
pub fn driver_register(
    bars: &Bars,
    reserved: &[Reserved],
    number: u32,
    offset: u32,
    width: u32,
) -> Result<DriverRegister, DeviceError> {
    if !matches!(width, 1 | 2 | 4 | 8) || !offset.is_multiple_of(width) {
        return Err(DeviceError::BadWidth);
    }
    let number = number as usize;
    let bar = bars.get(number).copied().flatten().ok_or(DeviceError::NoSuchRange)?;
    let (start, end) = (u64::from(offset), u64::from(offset) + u64::from(width));
    if end > bar.size {
        return Err(DeviceError::OutOfRange);
    }
    let meets = |other: &Reserved| other.bar == number && start < other.range.1 && other.range.0 < end;
    if reserved.iter().any(meets) { Err(DeviceError::Reserved) } else { Ok(DriverRegister { bar, offset: start }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BAR: Bar = Bar { address: 0xfd00_0000, size: 0x4000, is_wide: false };
    const BARS: Bars = [None, Some(BAR), None, None, None, None];
    const TABLE: [Reserved; 2] = [Reserved { bar: 1, range: (0, 0x50) }, Reserved { bar: 1, range: (0x2000, 0x2008) }];

    fn find(bar: u32, offset: u32, width: u32) -> Result<u64, DeviceError> {
        driver_register(&BARS, &TABLE, bar, offset, width).map(|found| found.offset)
    }

    #[test]
    fn gives_registers_and_nothing_else() {
        assert_eq!([find(1, 0x50, 1), find(1, 0x3ff8, 8), find(1, 0x1ffc, 4)], [Ok(0x50), Ok(0x3ff8), Ok(0x1ffc)]);
        for width in [0, 3, 5, 6, 7, 9, 16, u32::MAX] {
            assert_eq!(find(1, 0, width), Err(DeviceError::BadWidth), "{width}");
        }
        assert_eq!([find(1, 0x52, 4), find(1, 0x54, 8)], [Err(DeviceError::BadWidth); 2]);
        for bar in [0, 2, 6, u32::MAX] {
            assert_eq!(find(bar, 0x100, 4), Err(DeviceError::NoSuchRange), "{bar}");
        }
        assert_eq!([find(1, 0x4000, 1), find(1, u32::MAX - 7, 8)], [Err(DeviceError::OutOfRange); 2]);
    }

    #[test]
    fn never_gives_interrupts() {
        for (offset, width) in [(0, 1), (0x4c, 4), (0x48, 8), (0x2000, 8), (0x2007, 1), (0x2004, 4)] {
            assert_eq!(find(1, offset, width), Err(DeviceError::Reserved), "{offset:#x} {width}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_lies_in_the_range(bar: u32, offset: u32, width in 0_u32..12) {
            for bar in [bar, 1] {
                for offset in [offset, offset % 0x4100] {
                    if let Ok(found) = find(bar, offset, width) {
                        let end = found + u64::from(width);
                        prop_assert!(bar == 1 && end <= BAR.size && found >= 0x50);
                        prop_assert!(end <= 0x2000 || found >= 0x2008);
                    }
                }
            }
        }
    }
}
