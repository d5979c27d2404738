//! The places of a virtio device's registers on PCI (4.1.4), as its capabilities tell them.

use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};

use crate::pci::{Bars, capabilities};

/// The capability's identification: one of the vendor's own.
const VENDOR: u8 = 9;

/// The kinds of structures.
const COMMON: u8 = 1;
const NOTIFY: u8 = 2;
const DEVICE: u8 = 4;

/// The size of the common configuration, in bytes, without what is optional (4.1.4.3).
const COMMON_SIZE: u64 = 56;

/// A structure's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structure {
    /// The number of the range of registers.
    pub bar: usize,
    /// The offset in it.
    pub offset: u64,
    /// The length, in bytes.
    pub length: u64,
}

/// The structures of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structures {
    /// The common configuration.
    pub common: Structure,
    /// The notifications.
    pub notify: Structure,
    /// The distance of two notifications, in bytes.
    pub notify_distance: u32,
    /// The configuration of this type of device, if it has any.
    pub device: Option<Structure>,
}

/// Structures that can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StructureError {
    /// There is none of a kind that is needed.
    #[error("it has no {0}: it is no virtio device of version 1; attach it with `disable-legacy=on`")]
    Missing(&'static str),
    /// One lies outside of the registers.
    #[error("its {what} of {length:#x} bytes at {offset:#x} does not lie in range {bar} of its registers")]
    Outside {
        /// The structure.
        what: &'static str,
        /// The number of the range.
        bar: usize,
        /// The offset.
        offset: u64,
        /// The length.
        length: u64,
    },
}

impl Structures {
    /// Finds the structures of a function. The first of each kind counts.
    ///
    /// # Errors
    /// One is missing, or lies elsewhere.
    pub fn find<C: ConfigurationAccess>(
        config: &C,
        function: DeviceFunction,
        bars: &Bars,
    ) -> Result<Structures, StructureError> {
        let (mut common, mut notify, mut device, mut notify_distance) = (None, None, None, 0);
        for capability in capabilities(config, function).filter(|capability| capability.id == VENDOR) {
            let [length, kind] = capability.control.to_le_bytes();
            let word = |offset| capability.read(config, function, offset);
            let (Some(bar), Some(offset), Some(size)) = (word(4), word(8), word(12)) else { continue };
            if length < 16 {
                continue;
            }
            let found = Structure { bar: usize::from(bar as u8), offset: offset.into(), length: size.into() };
            match kind {
                COMMON => common = common.or(Some(found)),
                NOTIFY if notify.is_none() && length >= 20 => {
                    notify = Some(found);
                    notify_distance = word(16).ok_or(StructureError::Missing("distance of notifications"))?;
                }
                DEVICE => device = device.or(Some(found)),
                _ => {}
            }
        }
        let check = |what, found: Option<Structure>, least: u64| {
            let found = found.ok_or(StructureError::Missing(what))?;
            let Structure { bar, offset, length } = found;
            let size = bars.get(bar).copied().flatten().map_or(0, |bar| bar.size);
            // Each is aligned to four bytes at least (4.1.4).
            if offset + length > size || length < least || !offset.is_multiple_of(4) {
                return Err(StructureError::Outside { what, bar, offset, length });
            }
            Ok(found)
        };
        Ok(Structures {
            common: check("common configuration", common, COMMON_SIZE)?,
            notify: check("range of notifications", notify, 2)?,
            notify_distance,
            device: device.map(|device| check("configuration", Some(device), 0)).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::Bar;
    use crate::pci::testing::{Fake, at};
    use proptest::prelude::*;

    const NIC: DeviceFunction = at(0, 3, 0);

    fn bars() -> Bars {
        let mut bars = [None; 6];
        bars[4] = Some(Bar { address: 0xfd00_0000, size: 0x4000, is_wide: true });
        bars
    }

    /// The capabilities of QEMU's card, and whatever `words` change about them.
    fn find(words: &[(u8, u32)]) -> Result<Structures, StructureError> {
        let fake = Fake::default();
        fake.add(NIC, 0x1af4_1041, 0);
        fake.set(NIC, 0x04, 1 << 20);
        fake.set(NIC, 0x34, 0x40);
        let all = [
            (0x40, 0x0110_5009),
            (0x44, 4),
            (0x48, 0),
            (0x4c, 0x1000),
            (0x50, 0x0310_6009),
            (0x54, 4),
            (0x58, 0x1000),
            (0x5c, 0x1000),
            (0x60, 0x0410_7009),
            (0x64, 4),
            (0x68, 0x2000),
            (0x6c, 0x1000),
            (0x70, 0x0214_0009),
            (0x74, 4),
            (0x78, 0x3000),
            (0x7c, 0x1000),
            (0x80, 4),
        ];
        all.iter().chain(words).for_each(|&(offset, word)| fake.set(NIC, offset, word));
        Structures::find(&fake, NIC, &bars())
    }

    #[test]
    fn finds_all_four() {
        let at = |offset| Structure { bar: 4, offset, length: 0x1000 };
        let expected = Structures { common: at(0), notify: at(0x3000), notify_distance: 4, device: Some(at(0x2000)) };
        assert_eq!(find(&[]), Ok(expected));
        assert_eq!(find(&[(0x60, 0x0510_7009)]), Ok(Structures { device: None, ..expected }));
    }

    #[test]
    fn rejects_what_is_missing_or_elsewhere() {
        let outside = |what, bar, offset, length| Err(StructureError::Outside { what, bar, offset, length });
        assert_eq!(find(&[(0x40, 0x0510_5009)]), Err(StructureError::Missing("common configuration")));
        assert_eq!(find(&[(0x40, 0x010f_5009)]), Err(StructureError::Missing("common configuration")));
        assert_eq!(find(&[(0x70, 0x0210_0009)]), Err(StructureError::Missing("range of notifications")));
        assert_eq!(find(&[(0x4c, 55)]), outside("common configuration", 4, 0, 55));
        assert_eq!(find(&[(0x44, 1)]), outside("common configuration", 1, 0, 0x1000));
        assert_eq!(find(&[(0x44, 200)]), outside("common configuration", 200, 0, 0x1000));
        assert_eq!(find(&[(0x78, 0x3001)]), outside("range of notifications", 4, 0x3001, 0x1000));
        assert_eq!(find(&[(0x7c, 1)]), outside("range of notifications", 4, 0x3000, 1));
        let last = u64::from(u32::MAX);
        assert_eq!(find(&[(0x68, u32::MAX), (0x6c, u32::MAX)]), outside("configuration", 4, last, last));
    }

    proptest! {
        #[test]
        fn believes_nothing_that_lies_outside(words in prop::collection::vec((16_u8..64, any::<u32>()), 0..24)) {
            let words: alloc::vec::Vec<_> = words.into_iter().map(|(place, word)| (place * 4, word)).collect();
            if let Ok(Structures { common, notify, device, .. }) = find(&words) {
                for found in [Some(common), Some(notify), device].into_iter().flatten() {
                    prop_assert!(found.bar == 4 && found.offset + found.length <= 0x4000);
                }
            }
        }
    }
}
