//! A device as the drivers of the crate `virtio-drivers` have it, for those that a kernel drives itself: no wait is without a limit, and
//! nothing that the device says leads outside of its registers.

use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{Error, PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::device::{
    ACCESS_PLATFORM, DRIVER_FEATURES, DRIVER_FEATURES_SELECT, GENERATION, QUEUE_ADDRESSES, QUEUE_ENABLE, QUEUE_SELECT,
    QUEUE_SIZE, STATUS, TRIES, VirtioDevice, read_field,
};
use crate::registers::Registers;

/// The device.
#[derive(Debug)]
pub struct OwnDevice<R> {
    device: VirtioDevice<R>,
    kind: DeviceType,
    /// Whether it did not end a reset. It has no queues then.
    is_lost: bool,
}

impl<R: Registers> OwnDevice<R> {
    /// Takes over a device that was just reset, of a type.
    ///
    /// # Safety
    /// Only queues of the crate `virtio-drivers` are set up, by [`Transport::queue_set`], and their memory stays for good.
    #[allow(unsafe_code, reason = "the caller promises what no code here can check")]
    pub const unsafe fn new(device: VirtioDevice<R>, kind: DeviceType) -> OwnDevice<R> {
        OwnDevice { device, kind, is_lost: false }
    }
}

impl<R: Registers> Transport for OwnDevice<R> {
    fn device_type(&self) -> DeviceType {
        self.kind
    }

    fn read_device_features(&mut self) -> u64 {
        self.device.read_features()
    }

    /// Accepts the feature of addresses of an IOMMU, too, which the crate's drivers do not.
    fn write_driver_features(&mut self, driver_features: u64) {
        let accepted = driver_features | self.device.read_features() & ACCESS_PLATFORM;
        for (number, half) in [(0, accepted as u32), (1, (accepted >> 32) as u32)] {
            self.device.common.write_u32(DRIVER_FEATURES_SELECT, number);
            self.device.common.write_u32(DRIVER_FEATURES, half);
        }
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.device.common.write_u16(QUEUE_SELECT, queue);
        if self.is_lost { 0 } else { self.device.common.read_u16(QUEUE_SIZE).into() }
    }

    fn notify(&mut self, queue: u16) {
        // A place outside of the range is none.
        if let Ok(place) = self.device.notify_place(queue) {
            self.device.notify(place, queue);
        }
    }

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::from_bits_truncate(self.device.common.read_u8(STATUS).into())
    }

    fn set_status(&mut self, status: DeviceStatus) {
        match status.bits() as u8 {
            0 => self.is_lost = self.device.reset().is_err(),
            bits => self.device.common.write_u8(STATUS, bits),
        }
    }

    fn set_guest_page_size(&mut self, _: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        let common = &self.device.common;
        common.write_u16(QUEUE_SELECT, queue);
        common.write_u16(QUEUE_SIZE, size as u16);
        for (register, address) in QUEUE_ADDRESSES.into_iter().zip([descriptors, driver_area, device_area]) {
            common.write_u32(register, address as u32);
            common.write_u32(register + 4, (address >> 32) as u32);
        }
        common.write_u16(QUEUE_ENABLE, 1);
    }

    /// Does nothing: a queue ends with a reset.
    fn queue_unset(&mut self, _: u16) {}

    fn queue_used(&mut self, queue: u16) -> bool {
        self.device.common.write_u16(QUEUE_SELECT, queue);
        self.device.common.read_u16(QUEUE_ENABLE) != 0
    }

    /// Returns nothing: they are polled.
    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::empty()
    }

    fn read_config_generation(&self) -> u32 {
        self.device.common.read_u8(GENERATION).into()
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        let config = self.device.config.as_ref().ok_or(Error::ConfigSpaceMissing)?;
        let mut value = T::new_zeroed();
        let end = offset.checked_add(size_of::<T>()).filter(|end| *end as u64 <= config.length());
        end.ok_or(Error::ConfigSpaceTooSmall)?;
        read_field(config, offset as u64, value.as_mut_bytes());
        Ok(value)
    }

    fn write_config_space<T: IntoBytes + Immutable>(&mut self, _: usize, _: T) -> Result<()> {
        Err(Error::Unsupported)
    }

    fn read_consistent<T>(&self, read: impl Fn() -> Result<T>) -> Result<T> {
        for _ in 0..TRIES {
            let before = self.read_config_generation();
            let found = read();
            if self.read_config_generation() == before {
                return found;
            }
        }
        Err(Error::IoError)
    }
}

#[cfg(test)]
mod tests {
    use super::super::device::tests::{fake, take_over};
    use super::*;

    fn own() -> (&'static super::super::device::tests::Fake, OwnDevice<&'static super::super::device::tests::Fake>) {
        let fake = fake();
        // SAFETY: there is no device.
        let own = unsafe { OwnDevice::new(take_over(fake).unwrap(), DeviceType::Block) };
        (fake, own)
    }

    #[test]
    fn is_driven_by_its_registers() {
        let (fake, mut own) = own();
        fake.features.set(u64::MAX);
        own.write_driver_features(0x21);
        assert_eq!(fake.word(DRIVER_FEATURES), 2_u32.to_le_bytes());
        assert_eq!((own.max_queue_size(3), own.queue_used(3)), (64, false));
        own.queue_set(3, 16, 0x1_0000_1000, 0x2000, 0x3000);
        assert_eq!(fake.word(QUEUE_ADDRESSES[0]), 0x1_0000_1000_u64.to_le_bytes());
        assert_eq!((own.queue_used(3), fake.word(QUEUE_SIZE)), (true, [16, 0]));
        own.notify(3);
        assert_eq!(*fake.notified.borrow(), [(8, 3)]);
        assert_eq!(own.read_config_space::<u32>(8), Ok(0x0b0a_0908));
        own.set_status(DeviceStatus::ACKNOWLEDGE);
        assert_eq!(own.get_status(), DeviceStatus::ACKNOWLEDGE);
    }

    #[test]
    fn rejects_a_device_that_lies_and_waits_for_none_without_a_limit() {
        let (fake, mut own) = own();
        // Notifications outside of their range, a configuration that ends or changes all the time, an endless reset.
        fake.set(30, &u16::MAX.to_le_bytes());
        own.notify(0);
        assert!(fake.notified.borrow().is_empty());
        assert_eq!(own.read_config_space::<u32>(61), Err(Error::ConfigSpaceTooSmall));
        assert_eq!(own.read_config_space::<u32>(usize::MAX), Err(Error::ConfigSpaceTooSmall));
        fake.changes.set(true);
        assert_eq!(own.read_consistent(|| own.read_config_space::<u32>(0)), Err(Error::IoError));
        fake.slow.set(u32::MAX);
        own.set_status(DeviceStatus::empty());
        assert_eq!(own.max_queue_size(0), 0);
    }
}
