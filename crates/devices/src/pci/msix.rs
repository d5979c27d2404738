//! The capability by which a function sends messages as interrupts (PCI 3.0, 6.8.2).

use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};

use super::{Bars, Capability, Reserved, capabilities};

/// The bits of its control word: enabled, all masked, and the number of vectors less one.
const ENABLE: u16 = 1 << 15;
const MASK_ALL: u16 = 1 << 14;
const VECTORS: u16 = 0x7ff;

/// The bytes of an entry of the table: the address, the data, and the control.
pub const ENTRY_SIZE: u64 = 16;

/// The messages that a function sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// None: they are all masked, so that the table can be written, or the device is closed.
    Masked,
    /// Those that the table does not mask.
    On,
}

/// The capability of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiX {
    capability: Capability,
    /// The number of vectors.
    pub vectors: u16,
    /// The number of the range with the table.
    pub bar: usize,
    /// The table's offset in it.
    pub offset: u64,
    /// The number of the range with the bits of those that wait, and their offset in it.
    waiting: (usize, u64),
}

/// A capability that can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its table of {vectors} interrupts does not lie in its registers: range {bar}, offset {offset:#x}")]
pub struct MsiXError {
    vectors: u16,
    bar: usize,
    offset: u64,
}

impl MsiX {
    /// The capability's identification.
    pub const ID: u8 = 0x11;

    /// Finds the capability, if there is one.
    ///
    /// # Errors
    /// Its table does not lie in the function's registers.
    pub fn find<C: ConfigurationAccess>(
        config: &C,
        function: DeviceFunction,
        bars: &Bars,
    ) -> Result<Option<MsiX>, MsiXError> {
        let Some(capability) = capabilities(config, function).find(|capability| capability.id == MsiX::ID) else {
            return Ok(None);
        };
        let vectors = (capability.control & VECTORS) + 1;
        let place = capability.read(config, function, 4).unwrap_or(u32::MAX);
        let (bar, offset) = ((place & 7) as usize, u64::from(place & !7));
        let size = bars.get(bar).copied().flatten().map_or(0, |bar| bar.size);
        if offset + u64::from(vectors) * ENTRY_SIZE > size {
            return Err(MsiXError { vectors, bar, offset });
        }
        let place = capability.read(config, function, 8).unwrap_or(u32::MAX);
        let waiting = ((place & 7) as usize, u64::from(place & !7));
        Ok(Some(MsiX { capability, vectors, bar, offset, waiting }))
    }

    /// Returns where its registers are that no driver is to reach: the table, and the bits of the vectors that wait. Those
    /// may lie anywhere, as a function says what it wants.
    #[must_use]
    pub const fn reserved(&self) -> [Reserved; 2] {
        let table = self.offset + self.vectors as u64 * ENTRY_SIZE;
        let (bar, start) = self.waiting;
        let words = (self.vectors as u64).div_ceil(64);
        [Reserved { bar: self.bar, range: (self.offset, table) }, Reserved { bar, range: (start, start + words * 8) }]
    }

    /// Says which messages the function sends.
    pub fn set<C: ConfigurationAccess>(&self, config: &mut C, function: DeviceFunction, messages: Messages) {
        let bits = match messages {
            Messages::Masked => ENABLE | MASK_ALL,
            Messages::On => ENABLE,
        };
        let control = self.capability.control & !(ENABLE | MASK_ALL) | bits;
        self.capability.set_control(config, function, control);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::Bar;
    use crate::pci::testing::{Fake, at};

    const NIC: DeviceFunction = at(0, 3, 0);

    fn find(control: u32, place: u32) -> (Fake, Result<Option<MsiX>, MsiXError>) {
        let fake = Fake::default();
        fake.add(NIC, 0x1af4_1041, 0);
        fake.set(NIC, 0x04, 1 << 20);
        fake.set(NIC, 0x34, 0x40);
        fake.set(NIC, 0x40, control << 16 | 0x0011);
        fake.set(NIC, 0x44, place);
        let mut bars = [None; 6];
        bars[1] = Some(Bar { address: 0xfd00_0000, size: 0x1000, is_wide: false });
        let found = MsiX::find(&fake, NIC, &bars);
        (fake, found)
    }

    #[test]
    fn finds_and_enables() {
        let (mut fake, found) = find(3, 0x801);
        let found = found.unwrap().unwrap();
        assert_eq!((found.vectors, found.bar, found.offset), (4, 1, 0x800));
        let reserved = |bar, start, end| Reserved { bar, range: (start, end) };
        assert_eq!(found.reserved(), [reserved(1, 0x800, 0x840), reserved(0, 0, 8)]);
        found.set(&mut fake, NIC, Messages::Masked);
        assert_eq!(fake.word(NIC, 0x40), 0xc003_0011);
        found.set(&mut fake, NIC, Messages::On);
        assert_eq!(fake.word(NIC, 0x40), 0x8003_0011);
        fake.set(NIC, 0x04, 0);
        assert_eq!(MsiX::find(&fake, NIC, &[None; 6]), Ok(None));
    }

    #[test]
    fn rejects_a_table_outside_of_the_registers() {
        for (control, place) in [(3, 0xff1), (3, 0), (3, 6), (3, 7), (0x7ff, 1), (0, 0xffff_fff9)] {
            assert!(find(control, place).1.is_err(), "{control:#x} {place:#x}");
        }
        assert!(find(3, 0xfc1).1.is_ok());
    }
}
