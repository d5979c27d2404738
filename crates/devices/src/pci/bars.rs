//! A function's ranges of registers, and their addresses (PCI 3.0, 6.2.5).

use core::ops::Range;

use virtio_drivers::transport::pci::bus::{BarInfo, ConfigurationAccess, DeviceFunction, MemoryBarType, PciRoot};

/// The number of ranges that a function can have.
const BARS: usize = 6;

/// The smallest range in memory, in bytes.
const MIN_SIZE: u64 = 16;

/// A range of a function's registers in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// The physical address, a multiple of the size; 0 if it has none.
    pub address: u64,
    /// The size in bytes, a power of two.
    pub size: u64,
    /// Whether it takes an address of 64 bits.
    pub is_wide: bool,
}

/// The ranges of a function, by their numbers; `None` for those in the space of ports, and where there is none.
pub type Bars = [Option<Bar>; BARS];

/// A range that can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BarError {
    /// The type is none.
    #[error("a range of its registers is of no known type")]
    Kind,
    /// The size is no power of two, or the range goes beyond all addresses.
    #[error("range {number} of its registers has {size:#x} bytes at {address:#x}, expected a power of two that fits")]
    Size {
        /// The range's number.
        number: usize,
        /// The size.
        size: u64,
        /// The address.
        address: u64,
    },
    /// The range lies where something else is.
    #[error(
        "range {number} of its registers, of {size:#x} bytes at {address:#x}, lies where memory, another device or another range \
         is, at {taken:#x}"
    )]
    Overlaps {
        /// The range's number.
        number: usize,
        /// The size.
        size: u64,
        /// The address.
        address: u64,
        /// The first address of what is there.
        taken: u64,
    },
    /// There is no address for it.
    #[error(
        "the firmware gave range {number} of its registers, of {size:#x} bytes, no address, and none is left; attach it to \
         the root bus"
    )]
    NoAddress {
        /// The range's number.
        number: usize,
        /// The size.
        size: u64,
    },
}

/// The addresses for ranges to which the firmware gave none.
#[derive(Debug)]
pub struct AddressWindow {
    next: u64,
    end: u64,
}

impl AddressWindow {
    /// Creates a window of free addresses.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> AddressWindow {
        AddressWindow { next: start, end }
    }

    /// Takes an aligned range of `size` bytes that meets nothing `taken`.
    fn take(&mut self, size: u64, taken: Taken<'_>) -> Option<u64> {
        let mut start = self.next;
        loop {
            start = start.checked_next_multiple_of(size)?;
            let end = start.checked_add(size).filter(|end| *end <= self.end)?;
            let Some(other) = taken(&(start..end)) else {
                self.next = end;
                return Some(start);
            };
            start = other.end.max(end);
        }
    }
}

/// Returns a range of addresses that is taken and meets the given one, if there is one.
pub type Taken<'ranges> = &'ranges dyn Fn(&Range<u64>) -> Option<Range<u64>>;

impl Bar {
    /// Returns the addresses.
    #[must_use]
    pub const fn range(&self) -> Range<u64> {
        self.address..self.address + self.size
    }

    /// Returns the addresses, if they meet those of `other`.
    #[must_use]
    pub fn meets(&self, other: &Range<u64>) -> Option<Range<u64>> {
        let own = self.range();
        (self.address != 0 && own.start < other.end && other.start < own.end).then_some(own)
    }
}

/// Returns the ranges of a function that is not in use: it does not answer for a moment.
///
/// # Errors
/// One of them can't be.
pub fn find_bars<C: ConfigurationAccess>(root: &mut PciRoot<C>, function: DeviceFunction) -> Result<Bars, BarError> {
    let found = root.bars(function).map_err(|_| BarError::Kind)?;
    let mut bars = [None; BARS];
    for (number, (bar, info)) in bars.iter_mut().zip(&found).enumerate() {
        let Some(BarInfo::Memory { address_type, address, size, .. }) = info else { continue };
        let (address, size) = (*address, *size);
        // A range without bits that can be written is none.
        if size == 0 {
            continue;
        }
        let fits = address.checked_add(size).is_some() && address.is_multiple_of(size);
        if !size.is_power_of_two() || size < MIN_SIZE || !fits {
            return Err(BarError::Size { number, size, address });
        }
        *bar = Some(Bar { address, size, is_wide: *address_type == MemoryBarType::Width64 });
    }
    Ok(bars)
}

/// Gives each range of a function on the root bus an address that has none: some firmware assigns none. What is behind a
/// bridge gets none, since the bridge would have to pass it on. After that, no range meets another or what is `taken`.
///
/// # Errors
/// There is no address left, or ranges meet.
pub fn assign_addresses<C: ConfigurationAccess>(
    root: &mut PciRoot<C>,
    function: DeviceFunction,
    bars: &mut Bars,
    window: &mut AddressWindow,
    taken: Taken<'_>,
) -> Result<(), BarError> {
    check_apart(bars, taken)?;
    let own = *bars;
    let taken: Taken<'_> = &|range| taken(range).or_else(|| own.iter().flatten().find_map(|bar| bar.meets(range)));
    for (number, bar) in bars.iter_mut().enumerate() {
        let Some(bar) = bar.as_mut().filter(|bar| bar.address == 0) else { continue };
        let address = (function.bus == 0).then(|| window.take(bar.size, taken)).flatten();
        let address = address.and_then(|address| u32::try_from(address).ok());
        let address = address.ok_or(BarError::NoAddress { number, size: bar.size })?;
        match bar.is_wide {
            true => root.set_bar_64(function, number as u8, address.into()),
            false => root.set_bar_32(function, number as u8, address),
        }
        bar.address = address.into();
    }
    Ok(())
}

/// Checks that no range with an address meets another, or what is `taken`.
fn check_apart(bars: &Bars, taken: Taken<'_>) -> Result<(), BarError> {
    for (number, bar) in bars.iter().enumerate() {
        let Some(bar @ Bar { address: 1.., size, .. }) = *bar else { continue };
        let range = bar.range();
        let other = bars.iter().take(number).flatten().find_map(|before| before.meets(&range));
        if let Some(other) = taken(&range).or(other) {
            return Err(BarError::Overlaps { number, size, address: bar.address, taken: other.start });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::testing::{Fake, at};
    use proptest::prelude::*;

    const NIC: DeviceFunction = at(0, 3, 0);

    const NOTHING: Taken<'_> = &|_| None;

    /// Memory up to 1 GiB, and the interrupt controllers.
    const MACHINE: Taken<'_> = &|range| {
        let parts = [0..0x4000_0000, 0xfec0_0000..0xff00_0000];
        parts.into_iter().find(|part| part.start < range.end && range.start < part.end)
    };

    fn nic(bars: &[(u8, u32, u32)]) -> (Fake, PciRoot<Fake>) {
        let fake = Fake::default();
        fake.add(NIC, 0x1af4_1041, 0x0200_0000);
        bars.iter().for_each(|&(number, value, writable)| fake.add_bar(NIC, number, value, writable));
        (fake.clone(), PciRoot::new(fake))
    }

    #[test]
    fn finds_and_assigns() {
        // A range of ports, one of 4 KiB below 4 GiB, one of 16 KiB with a wide address.
        let (fake, mut root) =
            nic(&[(0, 0xc001, 0xffff_ffe0), (1, 0, 0xffff_f000), (4, 0xc, 0xffff_c000), (5, 0, u32::MAX)]);
        let mut bars = find_bars(&mut root, NIC).unwrap();
        let bar = |address, size, is_wide| Some(Bar { address, size, is_wide });
        assert_eq!(bars, [None, bar(0, 0x1000, false), None, None, bar(0, 0x4000, true), None]);
        let mut window = AddressWindow::new(0xfd00_1000, 0xfe00_0000);
        assign_addresses(&mut root, NIC, &mut bars, &mut window, NOTHING).unwrap();
        assert_eq!(bars[1], bar(0xfd00_1000, 0x1000, false));
        assert_eq!(bars[4], bar(0xfd00_4000, 0x4000, true));
        assert_eq!((fake.word(NIC, 0x14), fake.word(NIC, 0x20), fake.word(NIC, 0x24)), (0xfd00_1000, 0xfd00_400c, 0));
        assert_eq!(find_bars(&mut root, NIC), Ok(bars));
    }

    #[test]
    fn rejects_what_has_no_place() {
        let (_, mut root) = nic(&[(0, 0, 0xfff0_0000)]);
        let mut bars = find_bars(&mut root, NIC).unwrap();
        let mut window = AddressWindow::new(0xfd00_1000, 0xfd10_0000);
        let error = Err(BarError::NoAddress { number: 0, size: 0x10_0000 });
        assert_eq!(assign_addresses(&mut root, NIC, &mut bars, &mut window, NOTHING), error);
        let fake = Fake::default();
        let behind = at(1, 0, 0);
        fake.add(behind, 0x1af4_1041, 0);
        fake.add_bar(behind, 0, 0, 0xffff_f000);
        let mut root = PciRoot::new(fake);
        let mut bars = find_bars(&mut root, behind).unwrap();
        let mut window = AddressWindow::new(0xfd00_0000, 0xfe00_0000);
        let error = Err(BarError::NoAddress { number: 0, size: 0x1000 });
        assert_eq!(assign_addresses(&mut root, behind, &mut bars, &mut window, NOTHING), error);
        // It took nothing of what is there for others.
        assert_eq!(window.take(0x80_0000, NOTHING), Some(0xfd00_0000));
    }

    #[test]
    fn rejects_registers_where_something_else_is() {
        let assign = |values: &[(u8, u32, u32)]| {
            let (_, mut root) = nic(values);
            let mut bars = find_bars(&mut root, NIC).unwrap();
            assign_addresses(&mut root, NIC, &mut bars, &mut AddressWindow::new(0xfd00_0000, 0xfe80_0000), MACHINE)
                .map(|()| bars)
        };
        let overlaps = |number, size, address, taken| Err(BarError::Overlaps { number, size, address, taken });
        // In memory, in all of the interrupt controllers, around them, and in another range of its own.
        assert_eq!(assign(&[(0, 0x10_0000, 0xffff_f000)]), overlaps(0, 0x1000, 0x10_0000, 0));
        assert_eq!(assign(&[(1, 0xfee0_0000, 0xffff_f000)]), overlaps(1, 0x1000, 0xfee0_0000, 0xfec0_0000));
        assert_eq!(assign(&[(1, 0xf000_0000, 0xf000_0000)]), overlaps(1, 0x1000_0000, 0xf000_0000, 0xfec0_0000));
        let both = [(0, 0xe000_0000, 0xffff_0000), (1, 0xe000_8000, 0xffff_f000)];
        assert_eq!(assign(&both), overlaps(1, 0x1000, 0xe000_8000, 0xe000_0000));
        // What gets an address gets one apart from a range that the firmware put there.
        let bars = assign(&[(0, 0, 0xffff_0000), (1, 0xfd00_0000, 0xffff_0000)]).unwrap();
        assert_eq!(bars[0].unwrap().address, 0xfd01_0000);
    }

    #[test]
    fn rejects_what_can_not_be() {
        // Bits that can be written with gaps, a reserved type, a wide one without a second half.
        assert!(matches!(find_bars(&mut nic(&[(0, 0, 0xfff1_0f00)]).1, NIC), Err(BarError::Size { number: 0, .. })));
        assert_eq!(find_bars(&mut nic(&[(2, 6, 0xffff_f000)]).1, NIC), Err(BarError::Kind));
        assert_eq!(find_bars(&mut nic(&[(5, 4, 0xffff_f000)]).1, NIC), Err(BarError::Kind));
    }

    proptest! {
        #[test]
        fn gives_only_what_fits(
            values in prop::array::uniform6(any::<u32>()),
            writable in prop::array::uniform6(prop_oneof![any::<u32>(), (4_u32..32).prop_map(|bits| u32::MAX << bits)]),
        ) {
            let all = [0, 1, 2, 3, 4, 5].map(|number: u8| (number, values[usize::from(number)], writable[usize::from(number)]));
            let (_, mut root) = nic(&all);
            if let Ok(mut bars) = find_bars(&mut root, NIC) {
                let mut window = AddressWindow::new(0xfd00_0000, 0xfe80_0000);
                let assigned = assign_addresses(&mut root, NIC, &mut bars, &mut window, MACHINE);
                for (number, bar) in bars.into_iter().flatten().enumerate() {
                    prop_assert!(bar.size.is_power_of_two() && bar.address.checked_add(bar.size).is_some());
                    if assigned.is_ok() {
                        prop_assert!(bar.address != 0 && MACHINE(&bar.range()).is_none());
                        let mut before = bars.into_iter().flatten().take(number);
                        prop_assert!(before.all(|other| other.meets(&bar.range()).is_none()));
                    }
                }
            }
        }
    }
}
