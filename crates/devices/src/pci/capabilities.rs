//! The list of a function's capabilities (PCI 3.0, 6.7), which may be any bytes.

use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};

/// The register with command and status, and the bit of the status that there is a list.
const STATUS: u8 = 0x04;
const HAS_LIST: u32 = 1 << 20;

/// The register with the first capability's offset.
const FIRST: u8 = 0x34;

/// The end of the header, before which no capability lies.
const HEADER_END: u8 = 0x40;

/// A capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// The identification.
    pub id: u8,
    /// The offset in configuration space, a multiple of four.
    pub offset: u8,
    /// The third and the fourth byte.
    pub control: u16,
}

impl Capability {
    /// Reads four bytes of the capability, at a multiple of four; `None` beyond configuration space.
    pub fn read<C: ConfigurationAccess>(&self, config: &C, function: DeviceFunction, offset: u8) -> Option<u32> {
        Some(config.read_word(function, self.offset.checked_add(offset)?))
    }

    /// Returns the capability's first word with other bits in its third and fourth byte.
    pub(super) fn word<C: ConfigurationAccess>(&self, config: &C, function: DeviceFunction, control: u16) -> u32 {
        let [id, next, ..] = config.read_word(function, self.offset).to_le_bytes();
        let [low, high] = control.to_le_bytes();
        u32::from_le_bytes([id, next, low, high])
    }

    /// Writes the third and the fourth byte.
    pub(super) fn set_control<C: ConfigurationAccess>(&self, config: &mut C, function: DeviceFunction, control: u16) {
        let word = self.word(config, function, control);
        config.write_word(function, self.offset, word);
    }
}

/// Iterates over the capabilities of a function. The list ends at an offset that can't be, and each place is seen once.
pub fn capabilities<C: ConfigurationAccess>(config: &C, function: DeviceFunction) -> impl Iterator<Item = Capability> {
    let has_list = config.read_word(function, STATUS) & HAS_LIST != 0;
    let mut next = if has_list { config.read_word(function, FIRST) as u8 } else { 0 };
    // A bit for each place: a list that goes in a circle ends.
    let mut seen = 0_u64;
    core::iter::from_fn(move || {
        // The two lowest bits are reserved.
        let offset = next & !3;
        let place = 1 << (offset / 4);
        if offset < HEADER_END || seen & place != 0 {
            return None;
        }
        seen |= place;
        let [id, following, low, high] = config.read_word(function, offset).to_le_bytes();
        next = following;
        // So reads a function that is not there any more.
        (id != u8::MAX).then_some(Capability { id, offset, control: u16::from_le_bytes([low, high]) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::testing::{Fake, at};
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const NIC: DeviceFunction = at(0, 3, 0);

    /// The most capabilities of four bytes behind the header.
    const MAX_CAPABILITIES: u32 = 48;

    fn offsets(fake: &Fake) -> Vec<u8> {
        capabilities(fake, NIC).map(|capability| capability.offset).collect()
    }

    fn nic(list: &[(u8, u32)], first: u32) -> Fake {
        let fake = Fake::default();
        fake.add(NIC, 0x1af4_1041, 0);
        fake.set(NIC, STATUS, HAS_LIST);
        fake.set(NIC, FIRST, first);
        list.iter().for_each(|&(offset, word)| fake.set(NIC, offset, word));
        fake
    }

    #[test]
    fn follows_a_list() {
        let fake = nic(&[(0x98, 0x0005_8411), (0x84, 0x0014_4009), (0x40, 0x1234_0005)], 0x98);
        assert_eq!(offsets(&fake), [0x98, 0x84, 0x40]);
        let first = capabilities(&fake, NIC).next().unwrap();
        assert_eq!(first, Capability { id: 0x11, offset: 0x98, control: 5 });
        assert_eq!(first.read(&fake, NIC, 0x68), None);
        fake.set(NIC, STATUS, 0);
        assert!(offsets(&fake).is_empty());
    }

    #[test]
    fn ends_where_a_list_goes_wrong() {
        // A circle of two, of one, into the header, out of alignment, and where nothing is.
        assert_eq!(offsets(&nic(&[(0x40, 0x4409), (0x44, 0x4009)], 0x40)), [0x40, 0x44]);
        assert_eq!(offsets(&nic(&[(0x40, 0x4009)], 0x40)), [0x40]);
        assert_eq!(offsets(&nic(&[(0x40, 0x3c09)], 0x40)), [0x40]);
        assert_eq!(offsets(&nic(&[(0x40, 0x4709), (0x44, 0x0009)], 0x43)), [0x40, 0x44]);
        assert_eq!(offsets(&nic(&[(0xfc, u32::MAX)], 0xff)), []);
        assert_eq!(offsets(&nic(&[], 0)), []);
    }

    proptest! {
        #[test]
        fn ends_whatever_the_bytes_are(words in prop::collection::vec(any::<u32>(), 64)) {
            let list: Vec<_> = (0..).step_by(4).zip(words).map(|(offset, word)| (offset as u8, word)).collect();
            let fake = nic(&list, 0);
            fake.set(NIC, STATUS, HAS_LIST);
            let found = offsets(&fake);
            prop_assert!(found.len() <= MAX_CAPABILITIES as usize);
            prop_assert!(found.iter().all(|offset| *offset >= HEADER_END && offset % 4 == 0));
        }
    }
}
