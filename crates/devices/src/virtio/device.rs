//! A virtio device by its registers: the common configuration, the notifications and its own configuration (4.1.4).

use bareflow_device::DeviceError;

use super::page::{MAX_QUEUE_SIZE, QueuePage};
use super::shared::SharedPage;
use crate::patience::Patience;
use crate::registers::{Part, Registers};

/// The offsets of the common configuration (4.1.4.3).
pub(super) const DEVICE_FEATURES_SELECT: u64 = 0;
pub(super) const DEVICE_FEATURES: u64 = 4;
pub(super) const DRIVER_FEATURES_SELECT: u64 = 8;
pub(super) const DRIVER_FEATURES: u64 = 12;
pub(super) const CONFIG_VECTOR: u64 = 16;
pub(super) const STATUS: u64 = 20;
pub(super) const GENERATION: u64 = 21;
pub(super) const QUEUE_SELECT: u64 = 22;
pub(super) const QUEUE_SIZE: u64 = 24;
pub(super) const QUEUE_VECTOR: u64 = 26;
pub(super) const QUEUE_ENABLE: u64 = 28;
pub(super) const QUEUE_NOTIFY: u64 = 30;
pub(super) const QUEUE_ADDRESSES: [u64; 3] = [32, 40, 48];

/// The bits of the status (2.1).
const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;

/// The vector of no interrupt.
pub(super) const NO_VECTOR: u16 = u16::MAX;

/// The features of queues and transports (6): the driver has no say in them.
const RESERVED: u64 = ((1 << 50) - 1) & !((1 << 24) - 1);

/// Those that the device must have, and those that are taken if it has them: addresses of an IOMMU's.
const VERSION_1: u64 = 1 << 32;
pub(super) const ACCESS_PLATFORM: u64 = 1 << 33;

/// The number of reads after which a device is given up whose configuration changes all the time.
pub(super) const TRIES: u32 = 100;

/// The state of the setting up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// The device was reset.
    Reset,
    /// The features are agreed on.
    Negotiated,
    /// The device runs.
    Started,
}

/// A device that does not end its reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not end its reset")]
pub struct Lost;

impl From<Lost> for DeviceError {
    fn from(Lost: Lost) -> DeviceError {
        DeviceError::Lost
    }
}

/// A device, by its registers.
#[derive(Debug)]
pub struct VirtioDevice<R> {
    pub(super) common: Part<R>,
    notify: Part<R>,
    notify_distance: u32,
    pub(super) config: Option<Part<R>>,
    patience: Patience,
    /// The number of the interrupt, of changes of the configuration and of all queues; `NO_VECTOR` for none.
    vector: u16,
    setup: Setup,
}

impl<R: Registers> VirtioDevice<R> {
    /// Takes a device over, and resets it.
    ///
    /// # Errors
    /// It does not end its reset.
    pub fn new(
        common: Part<R>,
        (notify, notify_distance): (Part<R>, u32),
        config: Option<Part<R>>,
        patience: Patience,
    ) -> Result<VirtioDevice<R>, Lost> {
        let (vector, setup) = (NO_VECTOR, Setup::Reset);
        let mut device = VirtioDevice { common, notify, notify_distance, config, patience, vector, setup };
        device.reset()?;
        Ok(device)
    }

    /// Lets the device send the first interrupt of its table, which is on, instead of none.
    pub const fn use_interrupt(&mut self) {
        self.vector = 0;
    }

    /// Returns how long the device is waited for.
    pub const fn patience(&self) -> Patience {
        self.patience
    }

    /// Returns how far it is set up.
    pub const fn setup(&self) -> Setup {
        self.setup
    }

    /// Resets the device: it uses no queue any more.
    ///
    /// # Errors
    /// It does not end its reset.
    pub fn reset(&mut self) -> Result<(), Lost> {
        self.setup = Setup::Reset;
        self.common.write_u8(STATUS, 0);
        self.patience.wait(|| (self.common.read_u8(STATUS) == 0).then_some(())).ok_or(Lost)
    }

    /// Returns whether the device, which was just reset, uses the addresses of an IOMMU if there is one.
    pub fn uses_platform_addresses(&self) -> bool {
        self.offered() & ACCESS_PLATFORM != 0
    }

    /// Returns the features that the device offers.
    fn offered(&self) -> u64 {
        self.common.write_u8(STATUS, ACKNOWLEDGE | DRIVER);
        self.read_features()
    }

    /// Reads the features that the device offers.
    pub(super) fn read_features(&self) -> u64 {
        let half = |number: u32| {
            self.common.write_u32(DEVICE_FEATURES_SELECT, number);
            u64::from(self.common.read_u32(DEVICE_FEATURES))
        };
        half(0) | half(1) << 32
    }

    /// Agrees on features. Returns those of the device's type that both sides have, and `VERSION_1`.
    ///
    /// # Errors
    /// The device is of an old version, does not take the features, or has no resources for the interrupt.
    pub fn negotiate(&mut self, wanted: u64) -> Result<u64, DeviceError> {
        if self.setup != Setup::Reset {
            return Err(DeviceError::BadOrder);
        }
        let accepted = self.offered() & (wanted & !RESERVED | VERSION_1 | ACCESS_PLATFORM);
        if accepted & VERSION_1 == 0 {
            return Err(DeviceError::Features);
        }
        for (number, half) in [(0, accepted as u32), (1, (accepted >> 32) as u32)] {
            self.common.write_u32(DRIVER_FEATURES_SELECT, number);
            self.common.write_u32(DRIVER_FEATURES, half);
        }
        self.common.write_u8(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
        if self.common.read_u8(STATUS) & FEATURES_OK == 0 {
            return Err(DeviceError::Features);
        }
        self.set_vector(CONFIG_VECTOR)?;
        self.setup = Setup::Negotiated;
        Ok(accepted & !ACCESS_PLATFORM)
    }

    /// Returns the size that a queue gets for which `wanted` is asked: a power of two.
    ///
    /// # Errors
    /// The features are not agreed on, the device has no such queue, or uses it already.
    pub fn queue_size(&self, queue: u16, wanted: u32) -> Result<u16, DeviceError> {
        if self.setup != Setup::Negotiated {
            return Err(DeviceError::BadOrder);
        }
        self.common.write_u16(QUEUE_SELECT, queue);
        let largest = u32::from(self.common.read_u16(QUEUE_SIZE)).min(wanted).min(MAX_QUEUE_SIZE as u32);
        if largest == 0 || self.common.read_u16(QUEUE_ENABLE) != 0 {
            return Err(DeviceError::NoSuchQueue);
        }
        Ok(1 << largest.ilog2())
    }

    /// Sets a queue up, of a size that [`queue_size`](Self::queue_size) returned, in a page of zeros. Returns the place of its
    /// notifications.
    ///
    /// # Errors
    /// The device does not take the vector, or has no place for notifications.
    pub fn set_queue(&mut self, queue: u16, size: u16, page: &SharedPage<QueuePage>) -> Result<u64, DeviceError> {
        let notify = self.notify_place(queue)?;
        self.common.write_u16(QUEUE_SIZE, size);
        for (register, offset) in QUEUE_ADDRESSES.into_iter().zip(QueuePage::PARTS) {
            let address = page.address() + offset;
            self.common.write_u32(register, address as u32);
            self.common.write_u32(register + 4, (address >> 32) as u32);
        }
        self.set_vector(QUEUE_VECTOR)?;
        self.common.write_u16(QUEUE_ENABLE, 1);
        Ok(notify)
    }

    /// Selects a queue, and returns the place of its notifications.
    pub(super) fn notify_place(&self, queue: u16) -> Result<u64, DeviceError> {
        self.common.write_u16(QUEUE_SELECT, queue);
        let notify = u64::from(self.common.read_u16(QUEUE_NOTIFY)) * u64::from(self.notify_distance);
        if notify + 2 > self.notify.length() || !notify.is_multiple_of(2) {
            return Err(DeviceError::BadDevice);
        }
        Ok(notify)
    }

    /// Gives an event of the device its interrupt. It says so if it has no resources for that.
    fn set_vector(&self, register: u64) -> Result<(), DeviceError> {
        self.common.write_u16(register, self.vector);
        (self.common.read_u16(register) == self.vector).then_some(()).ok_or(DeviceError::BadDevice)
    }

    /// Starts the device.
    ///
    /// # Errors
    /// The features are not agreed on.
    pub fn start(&mut self) -> Result<(), DeviceError> {
        if self.setup != Setup::Negotiated {
            return Err(DeviceError::BadOrder);
        }
        self.common.write_u8(STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
        self.setup = Setup::Started;
        Ok(())
    }

    /// Tells the device that there is something in a queue, at the place that [`set_queue`](Self::set_queue) returned.
    #[inline]
    pub fn notify(&self, place: u64, queue: u16) {
        self.notify.write_u16(place, queue);
    }

    /// Copies bytes of the device's configuration, of one and the same generation: a field of two, four or eight bytes at an
    /// aligned place by reads of its width, as a driver has to (2.5.2), and bytes one by one.
    ///
    /// # Errors
    /// They do not lie in it, or it changes all the time.
    pub fn config(&self, offset: u32, into: &mut [u8]) -> Result<(), DeviceError> {
        let config = self.config.as_ref().ok_or(DeviceError::OutOfRange)?;
        let offset = u64::from(offset);
        if offset + into.len() as u64 > config.length() {
            return Err(DeviceError::OutOfRange);
        }
        for _ in 0..TRIES {
            let before = self.common.read_u8(GENERATION);
            read_field(config, offset, into);
            if self.common.read_u8(GENERATION) == before {
                return Ok(());
            }
        }
        Err(DeviceError::BadDevice)
    }

    /// Returns a field of two numbers of four bytes in the device's configuration, the lower one first.
    ///
    /// # Errors
    /// As of [`config`](Self::config).
    pub(crate) fn config_u64(&self, offset: u32) -> Result<u64, DeviceError> {
        let mut bytes = [0; 8];
        self.config(offset, &mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    /// Returns a field of four bytes.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn config_u32(&self, offset: u32) -> Result<u32, DeviceError> {
        let mut bytes = [0; 4];
        self.config(offset, &mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    /// Writes a byte of the device's configuration.
    ///
    /// # Errors
    /// It does not lie in it.
    pub fn set_config(&mut self, offset: u32, value: u8) -> Result<(), DeviceError> {
        let config = self.config.as_ref().filter(|config| u64::from(offset) < config.length());
        config.ok_or(DeviceError::OutOfRange)?.write_u8(offset.into(), value);
        Ok(())
    }
}

/// Reads a field.
pub(super) fn read_field<R: Registers>(config: &Part<R>, offset: u64, into: &mut [u8]) {
    match (into.len(), offset % 4) {
        (2, 0 | 2) => into.copy_from_slice(&config.read_u16(offset).to_le_bytes()),
        (4 | 8, 0) => {
            for (word, place) in into.chunks_exact_mut(4).zip((offset..).step_by(4)) {
                word.copy_from_slice(&config.read_u32(place).to_le_bytes());
            }
        }
        _ => into.iter_mut().zip(offset..).for_each(|(byte, place)| *byte = config.read_u8(place)),
    }
}

#[cfg(test)]
pub(super) mod tests;
