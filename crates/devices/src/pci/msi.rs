//! The older capability by which a function sends messages as interrupts (PCI 3.0, 6.8.1), of which one is used. It has no table:
//! message and mask lie in configuration space.

use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};

use super::{Capability, capabilities};

/// The capability's identification.
const MSI: u8 = 0x05;

/// The bits of its control word: enabled, the number of messages that are enabled, addresses of 64 bits, a mask.
const ENABLE: u16 = 1;
const ENABLED_MESSAGES: u16 = 7 << 4;
const IS_WIDE: u16 = 1 << 7;
const HAS_MASK: u16 = 1 << 8;

/// The offset of the address, below the data.
const ADDRESS: u8 = 4;

/// A word in configuration space by which messages are kept back: the value that does so, and the one that lets them come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// The offset, a multiple of four.
    pub offset: u8,
    /// The value that keeps them back.
    pub masked: u32,
    /// The value that lets them come.
    pub open: u32,
    /// Whether one is lost that is kept back, as the function has no mask, and is told to send none instead.
    pub loses: bool,
}

/// The capability of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msi {
    capability: Capability,
    /// Where the messages are kept back.
    pub mask: Mask,
}

impl Msi {
    /// Finds the capability, if there is one and it lies in configuration space.
    pub fn find<C: ConfigurationAccess>(config: &C, function: DeviceFunction) -> Option<Msi> {
        let capability = capabilities(config, function).find(|capability| capability.id == MSI)?;
        let Capability { offset, control, .. } = capability;
        let with = |control| capability.word(config, function, control);
        // The mask is the word behind the data.
        let last =
            offset.checked_add(data_offset(control))?.checked_add(if control & HAS_MASK != 0 { 4 } else { 0 })?;
        let control = control & !(ENABLE | ENABLED_MESSAGES);
        let mask = if control & HAS_MASK != 0 {
            Mask { offset: last, masked: u32::MAX, open: u32::MAX - 1, loses: false }
        } else {
            Mask { offset, masked: with(control), open: with(control | ENABLE), loses: true }
        };
        Some(Msi { capability: Capability { control, ..capability }, mask })
    }

    /// Gives the function its message, and enables it, kept back.
    pub fn enable<C: ConfigurationAccess>(
        &self,
        config: &mut C,
        function: DeviceFunction,
        (address, data): (u32, u16),
    ) {
        let Capability { offset, control, .. } = self.capability;
        config.write_word(function, self.mask.offset, self.mask.masked);
        config.write_word(function, offset + ADDRESS, address);
        if control & IS_WIDE != 0 {
            config.write_word(function, offset + ADDRESS + 4, 0);
        }
        config.write_word(function, offset + data_offset(control), data.into());
        if !self.mask.loses {
            self.capability.set_control(config, function, control | ENABLE);
        }
    }

    /// Ends the messages of the function.
    pub fn disable<C: ConfigurationAccess>(&self, config: &mut C, function: DeviceFunction) {
        self.capability.set_control(config, function, self.capability.control);
    }
}

/// Returns the offset of the data in the capability.
const fn data_offset(control: u16) -> u8 {
    if control & IS_WIDE != 0 { ADDRESS + 8 } else { ADDRESS + 4 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::testing::{Fake, at};
    use proptest::prelude::*;

    const NIC: DeviceFunction = at(0, 3, 0);
    const MESSAGE: (u32, u16) = (0xfee0_1000, 0x21);

    fn nic(offset: u8, control: u16) -> (Fake, Option<Msi>) {
        let fake = Fake::default();
        fake.add(NIC, 0x1234_11e8, 0);
        fake.set(NIC, 0x04, 1 << 20);
        fake.set(NIC, 0x34, offset.into());
        (0x40..=0xfc).step_by(4).for_each(|place| fake.set(NIC, place, 0));
        fake.set(NIC, offset, u32::from(control) << 16 | 0x0005);
        let found = Msi::find(&fake, NIC);
        (fake, found)
    }

    #[test]
    fn sends_one_message_by_its_mask() {
        // All eight messages are enabled, which can't be.
        let (mut fake, found) = nic(0x40, IS_WIDE | HAS_MASK | ENABLED_MESSAGES);
        let found = found.unwrap();
        let mask = Mask { offset: 0x50, masked: u32::MAX, open: !1, loses: false };
        assert_eq!(found.mask, mask);
        found.enable(&mut fake, NIC, MESSAGE);
        let words = [0x40, 0x44, 0x48, 0x4c, 0x50].map(|offset| fake.word(NIC, offset));
        assert_eq!(words, [0x0181_0005, 0xfee0_1000, 0, 0x21, u32::MAX]);
        found.disable(&mut fake, NIC);
        assert_eq!(fake.word(NIC, 0x40), 0x0180_0005);
    }

    #[test]
    fn is_turned_on_and_off_where_it_has_none() {
        let (mut fake, found) = nic(0x40, 0);
        let found = found.unwrap();
        assert_eq!(found.mask, Mask { offset: 0x40, masked: 0x0000_0005, open: 0x0001_0005, loses: true });
        found.enable(&mut fake, NIC, MESSAGE);
        let words = [0x40, 0x44, 0x48].map(|offset| fake.word(NIC, offset));
        assert_eq!(words, [0x0000_0005, 0xfee0_1000, 0x21]);
        // One of 64 bits has its data behind the upper half.
        let (mut fake, found) = nic(0x40, IS_WIDE);
        found.unwrap().enable(&mut fake, NIC, MESSAGE);
        assert_eq!([0x48, 0x4c].map(|offset| fake.word(NIC, offset)), [0, 0x21]);
    }

    #[test]
    fn rejects_what_lies_outside_of_configuration_space() {
        assert!(nic(0xf4, 0).1.is_some());
        assert_eq!(nic(0xf8, 0).1, None);
        assert_eq!(nic(0xf4, HAS_MASK).1, None);
        assert_eq!(nic(0xf4, IS_WIDE).1, None);
    }

    proptest! {
        #[test]
        fn writes_nothing_but_the_capability(place in 16_u8..64, control: u16) {
            let offset = place * 4;
            let (mut fake, found) = nic(offset, control);
            if let Some(found) = found {
                found.enable(&mut fake, NIC, MESSAGE);
                prop_assert!(found.mask.offset >= offset);
                let before = (0x40..offset).step_by(4);
                prop_assert!(before.into_iter().all(|place| fake.word(NIC, place) == 0));
            }
        }
    }
}
