//! A configuration space of a test's own.

use alloc::collections::BTreeMap;
use alloc::rc::Rc;
use core::cell::RefCell;

use virtio_drivers::transport::pci::bus::{ConfigurationAccess, DeviceFunction};

/// The offset of the first range of registers.
const BAR0: u8 = 0x10;

/// Functions by their words; those that can be written are known.
#[derive(Clone, Default)]
pub struct Fake(Rc<RefCell<BTreeMap<(DeviceFunction, u8), Word>>>);

#[derive(Clone, Copy)]
struct Word {
    value: u32,
    writable: u32,
}

pub const fn at(bus: u8, device: u8, function: u8) -> DeviceFunction {
    DeviceFunction { bus, device, function }
}

impl Fake {
    /// Adds a function with vendor and device, the vendor in the upper half, and its class.
    pub fn add(&self, function: DeviceFunction, ids: u32, class: u32) {
        self.set(function, 0, ids.rotate_left(16));
        self.set(function, 8, class);
    }

    pub fn add_bridge(&self, function: DeviceFunction, behind: u8) {
        self.add(function, 0x8086_0001, 0x0604_0000);
        self.set(function, 0x0c, 1 << 16);
        self.set(function, 0x18, u32::from(behind) << 8);
    }

    /// Adds a range of registers with a value, and the bits that can be written.
    pub fn add_bar(&self, function: DeviceFunction, number: u8, value: u32, writable: u32) {
        self.0.borrow_mut().insert((function, BAR0 + 4 * number), Word { value, writable });
    }

    pub fn set(&self, function: DeviceFunction, offset: u8, value: u32) {
        self.0.borrow_mut().insert((function, offset), Word { value, writable: u32::MAX });
    }

    pub fn word(&self, function: DeviceFunction, offset: u8) -> u32 {
        self.read_word(function, offset)
    }
}

impl ConfigurationAccess for Fake {
    fn read_word(&self, function: DeviceFunction, offset: u8) -> u32 {
        let words = self.0.borrow();
        let is_there = words.contains_key(&(function, 0));
        words.get(&(function, offset)).map_or(if is_there { 0 } else { u32::MAX }, |word| word.value)
    }

    fn write_word(&mut self, function: DeviceFunction, offset: u8, data: u32) {
        if let Some(word) = self.0.borrow_mut().get_mut(&(function, offset)) {
            word.value = word.value & !word.writable | data & word.writable;
        }
    }

    unsafe fn unsafe_clone(&self) -> Fake {
        self.clone()
    }
}
