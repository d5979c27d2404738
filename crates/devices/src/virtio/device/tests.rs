use core::cell::{Cell, RefCell};

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::patience::testing::PATIENCE;
use crate::virtio::testing::{page, shared};

const NOTIFY: u64 = 0x100;
const CONFIG: u64 = 0x200;
const LENGTH: u64 = 0x240;

/// The registers of a device that does as it is told, and says what the test wants.
pub struct Fake {
    pub registers: RefCell<Vec<u8>>,
    pub features: Cell<u64>,
    /// The bits of the status that it never sets, and those that it never clears.
    pub never: Cell<u8>,
    pub always: Cell<u8>,
    /// The reads of a status that it takes to end a reset.
    pub slow: Cell<u32>,
    /// Whether each look at its configuration finds another one.
    pub changes: Cell<bool>,
    /// The notifications, and the reads of its configuration by place and width.
    pub notified: RefCell<Vec<(u64, u16)>>,
    pub reads: RefCell<Vec<(u64, u64)>>,
}

impl Fake {
    pub fn word<const N: usize>(&self, offset: u64) -> [u8; N] {
        let start = offset as usize;
        if let Some(place) = offset.checked_sub(CONFIG) {
            self.reads.borrow_mut().push((place, N as u64));
        }
        self.registers.borrow()[start..start + N].try_into().unwrap()
    }

    pub fn set(&self, offset: u64, bytes: &[u8]) {
        let start = offset as usize;
        self.registers.borrow_mut()[start..start + bytes.len()].copy_from_slice(bytes);
    }
}

impl Registers for &'static Fake {
    fn length(&self) -> u64 {
        LENGTH
    }
    fn read_u8(&self, offset: u64) -> u8 {
        let [value] = self.word(offset);
        match offset {
            STATUS if self.slow.get() > 0 => {
                self.slow.set(self.slow.get() - 1);
                1
            }
            STATUS => value & !self.never.get() | self.always.get(),
            GENERATION if self.changes.get() => {
                self.set(GENERATION, &[value.wrapping_add(1)]);
                value
            }
            _ => value,
        }
    }
    fn read_u16(&self, offset: u64) -> u16 {
        u16::from_le_bytes(self.word(offset))
    }
    fn read_u32(&self, offset: u64) -> u32 {
        let [half] = self.word(DEVICE_FEATURES_SELECT);
        match offset {
            DEVICE_FEATURES => (self.features.get() >> (32 * half)) as u32,
            _ => u32::from_le_bytes(self.word(offset)),
        }
    }
    fn write_u8(&self, offset: u64, value: u8) {
        self.set(offset, &[value]);
    }
    fn write_u16(&self, offset: u64, value: u16) {
        match offset {
            NOTIFY..CONFIG => self.notified.borrow_mut().push((offset - NOTIFY, value)),
            // It has one interrupt at the most.
            QUEUE_VECTOR | CONFIG_VECTOR if self.always.get() == 0x80 => self.set(offset, &[0xff; 2]),
            _ => self.set(offset, &value.to_le_bytes()),
        }
    }
    fn write_u32(&self, offset: u64, value: u32) {
        self.set(offset, &value.to_le_bytes());
    }
}

/// A device of version 1 with a queue of 64, whose notifications are at 8.
pub fn fake() -> &'static Fake {
    let fake = Fake {
        registers: RefCell::new(vec![0; LENGTH as usize]),
        features: Cell::new(VERSION_1 | 0x21),
        never: Cell::new(0),
        always: Cell::new(0),
        slow: Cell::new(0),
        changes: Cell::new(false),
        notified: RefCell::default(),
        reads: RefCell::default(),
    };
    fake.set(QUEUE_SIZE, &64_u16.to_le_bytes());
    fake.set(QUEUE_NOTIFY, &2_u16.to_le_bytes());
    (0..64).for_each(|place| fake.set(CONFIG + place, &[place as u8]));
    alloc::boxed::Box::leak(alloc::boxed::Box::new(fake))
}

pub fn take_over(fake: &'static Fake) -> Result<VirtioDevice<&'static Fake>, Lost> {
    let part = |start, length| Part::new(fake, start, length).unwrap();
    VirtioDevice::new(part(0, 0x100), (part(NOTIFY, 0x100), 4), Some(part(CONFIG, 0x40)), PATIENCE)
}

#[test]
fn is_set_up_in_one_order() {
    let fake = fake();
    let mut device = take_over(fake).unwrap();
    assert_eq!(device.queue_size(0, 8), Err(DeviceError::BadOrder));
    assert_eq!(device.start(), Err(DeviceError::BadOrder));
    // No feature of queues or transports is the driver's to choose, and one that the device lacks is not taken.
    fake.features.set(u64::MAX);
    assert_eq!(device.negotiate(u64::MAX), Ok(!RESERVED | VERSION_1));
    assert_eq!(device.negotiate(0), Err(DeviceError::BadOrder));
    for (wanted, size) in [(1, 1), (5, 4), (64, 64), (65, 64), (u32::MAX, 64)] {
        assert_eq!(device.queue_size(0, wanted), Ok(size));
    }
    assert_eq!(device.queue_size(0, 0), Err(DeviceError::NoSuchQueue));
    let own = shared(page());
    assert_eq!(device.set_queue(0, 32, &own), Ok(8));
    let address = |register| u64::from_le_bytes(fake.word(register));
    let parts = QUEUE_ADDRESSES.map(address);
    assert_eq!(parts, QueuePage::PARTS.map(|offset| own.address() + offset));
    assert_eq!((fake.word(QUEUE_SIZE), fake.word(QUEUE_ENABLE)), ([32, 0], [1, 0]));
    assert_eq!((fake.word(QUEUE_VECTOR), fake.word(CONFIG_VECTOR)), ([0xff; 2], [0xff; 2]));
    // It is in use from then on.
    assert_eq!(device.queue_size(0, 8), Err(DeviceError::NoSuchQueue));
    assert_eq!((device.start(), device.setup()), (Ok(()), Setup::Started));
    device.notify(8, 3);
    assert_eq!(*fake.notified.borrow(), [(8, 3)]);
    assert_eq!((device.reset(), device.setup(), fake.word(STATUS)), (Ok(()), Setup::Reset, [0]));
}

#[test]
fn waits_for_a_slow_reset_and_gives_up_an_endless_one() {
    let fake = fake();
    fake.slow.set(1000);
    let mut device = take_over(fake).unwrap();
    fake.slow.set(u32::MAX);
    assert_eq!(device.reset(), Err(Lost));
    assert!(take_over(fake).is_err());
}

#[test]
fn rejects_a_device_that_does_not_take_what_it_is_told() {
    let fake = fake();
    let mut device = take_over(fake).unwrap();
    fake.features.set(1);
    assert_eq!(device.negotiate(1), Err(DeviceError::Features));
    fake.features.set(VERSION_1 | 1);
    fake.never.set(FEATURES_OK);
    assert_eq!(device.negotiate(1), Err(DeviceError::Features));
    fake.never.set(0);
    // It has no resources for an interrupt.
    fake.always.set(0x80);
    device.use_interrupt();
    assert_eq!(device.negotiate(1), Err(DeviceError::BadDevice));
    fake.always.set(0);
    assert_eq!(device.negotiate(1), Ok(VERSION_1 | 1));
    assert_eq!(fake.word(CONFIG_VECTOR), [0, 0]);
    fake.always.set(0x80);
    assert_eq!(device.set_queue(0, 8, &shared(page())), Err(DeviceError::BadDevice));
    // Notifications outside of their range, and not aligned.
    fake.always.set(0);
    fake.set(QUEUE_NOTIFY, &0x40_u16.to_le_bytes());
    assert_eq!(device.set_queue(0, 8, &shared(page())), Err(DeviceError::BadDevice));
    fake.set(QUEUE_NOTIFY, &u16::MAX.to_le_bytes());
    assert_eq!(device.set_queue(0, 8, &shared(page())), Err(DeviceError::BadDevice));
    assert_eq!(fake.word(QUEUE_ENABLE), [0, 0]);
}

#[test]
fn reads_fields_by_their_width_and_in_one_state() {
    let fake = fake();
    let device = take_over(fake).unwrap();
    let read = |offset, length: usize| {
        let mut into = vec![0; length];
        device.config(offset, &mut into).map(|()| (into, fake.reads.take()))
    };
    assert_eq!(read(0, 6).unwrap().1, [0, 1, 2, 3, 4, 5].map(|place| (place, 1)));
    assert_eq!(read(6, 2), Ok((vec![6, 7], vec![(6, 2)])));
    assert_eq!(read(7, 2).unwrap().1, [(7, 1), (8, 1)]);
    assert_eq!(read(8, 4), Ok((vec![8, 9, 10, 11], vec![(8, 4)])));
    assert_eq!(read(8, 8).unwrap().1, [(8, 4), (12, 4)]);
    assert_eq!(read(10, 4).unwrap().1, [10, 11, 12, 13].map(|place| (place, 1)));
    assert_eq!(read(60, 4).unwrap().0, [60, 61, 62, 63]);
    for (offset, length) in [(61, 4), (64, 1), (u32::MAX, 2), (0, 65)] {
        assert_eq!(read(offset, length), Err(DeviceError::OutOfRange));
    }
    fake.changes.set(true);
    assert_eq!(read(0, 4), Err(DeviceError::BadDevice));
}
