use core::cell::RefCell;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use bareflow_device::DeviceError;

use super::*;
use crate::patience::testing::PATIENCE;
use crate::virtio::testing::{page, shared};
use crate::virtio::{QueuePage, Setup, VirtioDevice};

/// The registers of a device: what it was told, and in what order.
struct Fake {
    words: RefCell<Vec<u32>>,
    writes: RefCell<Vec<(u64, u32)>>,
}

impl Registers for &Fake {
    fn length(&self) -> u64 {
        MMIO_BYTES
    }
    // A device on no bus takes accesses of four bytes alone, but to its own configuration (4.2.2.2).
    fn read_u8(&self, offset: u64) -> u8 {
        assert!(offset >= CONFIG);
        (offset - CONFIG) as u8
    }
    fn read_u16(&self, _: u64) -> u16 {
        unreachable!()
    }
    fn read_u32(&self, offset: u64) -> u32 {
        let words = self.words.borrow();
        match (offset, words[0x14 / 4]) {
            // Of the features, version 1 is the lowest of the upper half.
            (0x10, 1) => 1,
            (0x10, _) => 0x20,
            _ => words[offset as usize / 4],
        }
    }
    fn write_u8(&self, _: u64, _: u8) {
        unreachable!()
    }
    fn write_u16(&self, _: u64, _: u16) {
        unreachable!()
    }
    fn write_u32(&self, offset: u64, value: u32) {
        self.words.borrow_mut()[offset as usize / 4] = value;
        self.writes.borrow_mut().push((offset, value));
    }
}

fn fake() -> &'static Fake {
    let fake = Fake { words: RefCell::new(vec![0; 128]), writes: RefCell::default() };
    for (offset, value) in [(MAGIC, VIRTIO_MAGIC), (VERSION, MODERN), (DEVICE_ID, 1), (LARGEST_QUEUE, 64)] {
        fake.words.borrow_mut()[offset as usize / 4] = value;
    }
    Box::leak(Box::new(fake))
}

#[test]
fn is_driven_as_on_pci() {
    let fake = fake();
    assert_eq!((mmio_type(&fake), check_version(&fake)), (Some(1), Ok(())));
    let [common, notify, config] = VirtioRegisters::on_no_bus(fake).unwrap();
    let mut device = VirtioDevice::new(common, (notify, 0), Some(config), PATIENCE).unwrap();
    assert!(!device.uses_platform_addresses());
    assert_eq!(device.negotiate(0x21), Ok(0x1_0000_0020));
    assert_eq!(device.queue_size(1, 100), Ok(64));
    fake.writes.borrow_mut().clear();
    let own = shared(page());
    assert_eq!(device.set_queue(1, 32, &own), Ok(0));
    let [first, second, third] = QueuePage::PARTS.map(|offset| own.address() + offset);
    let halves = |place, address: u64| [(place, address as u32), (place + 4, (address >> 32) as u32)];
    let addresses = [halves(0x80, first), halves(0x90, second), halves(0xa0, third)].concat();
    let expected = [vec![(0x30, 1), (0x38, 32)], addresses, vec![(0x44, 1)]].concat();
    assert_eq!(fake.writes.take(), expected);
    // It is in use from then on.
    assert_eq!(device.queue_size(1, 8), Err(DeviceError::NoSuchQueue));
    assert_eq!((device.start(), device.setup()), (Ok(()), Setup::Started));
    device.notify(0, 1);
    assert_eq!(fake.writes.borrow().last(), Some(&(NOTIFY, 1)));
    let mut mac = [0xff; 6];
    assert_eq!((device.config(0, &mut mac), mac), (Ok(()), [0, 1, 2, 3, 4, 5]));
    assert_eq!(device.config(0xff, &mut [0; 2]), Err(DeviceError::OutOfRange));
    assert_eq!((device.reset(), fake.words.borrow()[0x70 / 4]), (Ok(()), 0));
}

#[test]
fn rejects_what_is_no_device_of_version_1() {
    let with = |offset: u64, value| {
        let fake = fake();
        fake.words.borrow_mut()[offset as usize / 4] = value;
        (mmio_type(&fake), check_version(&fake))
    };
    assert_eq!(with(MAGIC, u32::MAX).0, None);
    assert_eq!(with(DEVICE_ID, 0).0, None);
    assert_eq!(with(DEVICE_ID, 0x1_0001).0, None);
    assert_eq!(with(VERSION, 1).1, Err(MmioError::Legacy));
    assert_eq!(with(VERSION, 3).1, Err(MmioError::Version(3)));
}
