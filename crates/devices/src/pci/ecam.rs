//! Where configuration space is in memory, as the firmware's table MCFG says (PCI Firmware Specification 3.2, 4.1.2).

use core::ops::{Range, RangeInclusive};

use virtio_drivers::transport::pci::bus::DeviceFunction;

/// The bytes before the entries, and those of an entry.
const HEADER_BYTES: usize = 44;
const ENTRY_BYTES: usize = 16;

/// The bytes of a bus, of which an entry's start is a multiple.
const BUS_BYTES: u64 = 1 << 20;

/// The bytes of a function's configuration space.
pub const FUNCTION_BYTES: u64 = 1 << 12;

/// An entry of the table: the address of bus 0, whichever is the first, the segment, and the buses.
struct Entry {
    base: u64,
    segment: u16,
    buses: RangeInclusive<u8>,
}

fn entries(mcfg: &[u8]) -> impl Iterator<Item = Entry> {
    let entries = mcfg.get(HEADER_BYTES..).unwrap_or_default().chunks_exact(ENTRY_BYTES);
    let entries = entries.filter_map(|entry| entry.first_chunk::<ENTRY_BYTES>());
    entries.map(|&[a, b, c, d, e, f, g, h, low, high, first, last, ..]| Entry {
        base: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        segment: u16::from_le_bytes([low, high]),
        buses: first..=last,
    })
}

/// Returns the ranges of all configuration space in memory.
pub fn configuration_memory(mcfg: &[u8]) -> impl Iterator<Item = Range<u64>> {
    entries(mcfg).map(|Entry { base, buses, .. }| {
        let bus = |number: u64| base.saturating_add(number * BUS_BYTES);
        bus((*buses.start()).into())..bus(u64::from(*buses.end()) + 1)
    })
}

/// Returns the address of a function's configuration space; `None` if the table has none of its bus.
#[must_use]
pub fn memory_of_function(mcfg: &[u8], function: DeviceFunction) -> Option<u64> {
    entries(mcfg).find_map(|Entry { base, segment, buses }| {
        let is_here = segment == 0 && buses.contains(&function.bus);
        if !is_here || base == 0 || !base.is_multiple_of(BUS_BYTES) {
            return None;
        }
        let DeviceFunction { bus, device, function } = function;
        let offset = u64::from(bus) << 20 | u64::from(device & 31) << 15 | u64::from(function & 7) << 12;
        base.checked_add(offset).filter(|address| address.checked_add(FUNCTION_BYTES).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::testing::at;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn mcfg(entries: &[(u64, u16, u8, u8)]) -> Vec<u8> {
        let mut table = alloc::vec![0; HEADER_BYTES];
        for (base, segment, first, last) in entries {
            table.extend_from_slice(&base.to_le_bytes());
            table.extend_from_slice(&segment.to_le_bytes());
            table.extend_from_slice(&[*first, *last, 0, 0, 0, 0]);
        }
        table
    }

    #[test]
    fn finds_the_place_of_a_function() {
        let table = mcfg(&[(0xd000_0000, 1, 0, 255), (0xb000_0000, 0, 0, 3), (0xe000_0000, 0, 4, 255)]);
        assert_eq!(memory_of_function(&table, at(0, 3, 2)), Some(0xb001_a000));
        assert_eq!(memory_of_function(&table, at(4, 31, 7)), Some(0xe04f_f000));
        let ranges: Vec<_> = configuration_memory(&table).collect();
        assert_eq!(ranges, [0xd000_0000..0xe000_0000, 0xb000_0000..0xb040_0000, 0xe040_0000..0xf000_0000]);
    }

    #[test]
    fn rejects_what_can_not_be() {
        let find = |entry| memory_of_function(&mcfg(&[entry]), at(2, 0, 0));
        assert_eq!(find((0xb000_0000, 0, 0, 1)), None);
        assert_eq!(find((0xb000_0000, 0, 3, 1)), None);
        assert_eq!(find((0, 0, 0, 255)), None);
        assert_eq!(find((0xb000_0001, 0, 0, 255)), None);
        assert_eq!(find((u64::MAX - 0xf_ffff, 0, 0, 255)), None);
        let whole = mcfg(&[(0xb000_0000, 0, 0, 255)]);
        assert_eq!(memory_of_function(&whole[..HEADER_BYTES + 15], at(2, 0, 0)), None);
    }

    proptest! {
        #[test]
        fn ends_whatever_the_bytes_are(table in prop::collection::vec(any::<u8>(), 0..200), bus: u8) {
            if let Some(address) = memory_of_function(&table, at(bus, 1, 0)) {
                prop_assert!(address.is_multiple_of(FUNCTION_BYTES));
                prop_assert!(configuration_memory(&table).any(|range| range.contains(&address)));
            }
        }
    }
}
