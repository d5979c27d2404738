//! The search for functions on all buses.

use bareflow_abi::devices::DeviceIds;
use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction, HeaderType, PciRoot};

/// The register with a function's header type, and its bit of devices with several functions.
const HEADER: u8 = 0x0c;
const MULTIPLE_FUNCTIONS: u32 = 1 << 23;

/// The register with a bridge's bus numbers: the second byte is the bus behind it.
const BUSES: u8 = 0x18;

/// The vendor of virtio devices, and the number from which on their types count (Virtio 1.2, 4.1.2).
const VIRTIO_VENDOR: u16 = 0x1af4;
const FIRST_VIRTIO: u16 = 0x1040;

/// The types of transitional devices, from 0x1000 on (Virtio 1.2, 4.1.2.1).
const TRANSITIONAL: [u16; 10] = [1, 2, 5, 3, 8, 4, 0, 0, 0, 9];

/// Returns the type of a virtio device; 0 for any other.
fn virtio_type(vendor: u16, device: u16) -> u16 {
    match device {
        _ if vendor != VIRTIO_VENDOR => 0,
        FIRST_VIRTIO..0x1080 => device - FIRST_VIRTIO,
        _ => TRANSITIONAL.get(usize::from(device).wrapping_sub(0x1000)).copied().unwrap_or_default(),
    }
}

/// A function that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// The location.
    pub location: DeviceFunction,
    /// The identification.
    pub ids: DeviceIds,
    /// Whether it is a bridge, of whatever kind.
    pub is_bridge: bool,
}

/// Passes all functions on bus 0 and on all buses behind bridges to `look`, each bus once, as long as that returns true.
/// Writes nothing.
pub fn scan<C: ConfigurationAccess>(root: &PciRoot<C>, config: &C, mut look: impl FnMut(&Function) -> bool) {
    let mut seen = [false; 256];
    let (mut buses, mut count) = ([0_u8; 256], 1);
    seen[0] = true;
    let mut next = 0;
    while let Some(&bus) = buses.get(next).filter(|_| next < count) {
        next += 1;
        for (location, info) in root.enumerate_bus(bus) {
            let first = DeviceFunction { function: 0, ..location };
            // A device with one function may answer for eight.
            if location.function > 0 && config.read_word(first, HEADER) & MULTIPLE_FUNCTIONS == 0 {
                continue;
            }
            let virtio = virtio_type(info.vendor_id, info.device_id);
            let ids = DeviceIds {
                vendor: info.vendor_id,
                device: info.device_id,
                class: info.class,
                subclass: info.subclass,
                virtio,
            };
            let is_bridge = info.header_type != HeaderType::Standard;
            if !look(&Function { location, ids, is_bridge }) {
                return;
            }
            if info.header_type == HeaderType::PciPciBridge {
                let [_, behind, ..] = config.read_word(location, BUSES).to_le_bytes();
                let is_new = !core::mem::replace(&mut seen[usize::from(behind)], true);
                if let Some(place) = buses.get_mut(count).filter(|_| is_new) {
                    *place = behind;
                    count += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pci::testing::{Fake, at};
    use alloc::vec::Vec;

    fn found(fake: &Fake) -> Vec<Function> {
        let mut all = Vec::new();
        scan(&PciRoot::new(fake.clone()), fake, |function| {
            all.push(*function);
            true
        });
        all
    }

    #[test]
    fn finds_what_is_behind_bridges() {
        let fake = Fake::default();
        fake.add(at(0, 3, 0), 0x1af4_1041, 0x0200_0000);
        fake.add_bridge(at(0, 1, 0), 5);
        fake.add(at(5, 0, 0), 0x8086_10d3, 0x0200_0000);
        let all = found(&fake);
        let locations: Vec<_> = all.iter().map(|function| function.location).collect();
        assert_eq!(locations, [at(0, 1, 0), at(0, 3, 0), at(5, 0, 0)]);
        assert_eq!(all[1].ids, DeviceIds { vendor: 0x1af4, device: 0x1041, class: 2, subclass: 0, virtio: 1 });
        assert_eq!((all[0].is_bridge, all[2].is_bridge, all[2].ids.virtio), (true, false, 0));
    }

    #[test]
    fn knows_the_types_of_virtio_devices() {
        for (device, expected) in [
            (0x1000, 1),
            (0x1002, 5),
            (0x1006, 0),
            (0x1009, 9),
            (0x100a, 0),
            (0x1041, 1),
            (0x1045, 5),
            (0x105a, 26),
            (0x1080, 0),
        ] {
            assert_eq!(virtio_type(0x1af4, device), expected, "{device:#x}");
            assert_eq!(virtio_type(0x8086, device), 0);
        }
    }

    #[test]
    fn visits_buses_in_a_circle_once() {
        let fake = Fake::default();
        fake.add_bridge(at(0, 1, 0), 1);
        fake.add_bridge(at(1, 1, 0), 0);
        fake.add_bridge(at(1, 2, 0), 1);
        for device in 3..32 {
            fake.add_bridge(at(1, device, 0), 200 + device);
        }
        assert_eq!(found(&fake).len(), 32);
    }

    #[test]
    fn believes_one_function_of_a_device_that_has_one() {
        let fake = Fake::default();
        for function in 0..8 {
            fake.add(at(0, 2, function), 0x1234_0001, 0);
            fake.add(at(0, 4, function), 0x1234_0001, 0);
        }
        fake.set(at(0, 4, 0), HEADER, MULTIPLE_FUNCTIONS);
        assert_eq!(found(&fake).len(), 9);
    }

    #[test]
    fn stops_when_told() {
        let fake = Fake::default();
        (0..9).for_each(|device| fake.add(at(0, device, 0), 0x1234_0001, 0));
        let mut count = 0;
        scan(&PciRoot::new(fake.clone()), &fake, |_| {
            count += 1;
            count < 4
        });
        assert_eq!(count, 4);
    }
}
