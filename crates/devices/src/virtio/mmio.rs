//! The registers of a virtio device that is at a fixed address and on no bus (4.2): they are read and written by the offsets
//! that they have on PCI (4.1.4.3), so that one driver of registers serves both.

use super::device::{
    CONFIG_VECTOR, DEVICE_FEATURES, DEVICE_FEATURES_SELECT, DRIVER_FEATURES, DRIVER_FEATURES_SELECT, GENERATION,
    NO_VECTOR, QUEUE_ADDRESSES, QUEUE_ENABLE, QUEUE_NOTIFY, QUEUE_SELECT, QUEUE_SIZE, QUEUE_VECTOR, STATUS,
};
use crate::registers::{Part, Registers};

/// The bytes of the registers, those of the device's own configuration at their end, and where that begins (4.2.2).
pub const MMIO_BYTES: u64 = 0x200;
const CONFIG: u64 = 0x100;

/// The offsets of the registers, each of four bytes.
const MAGIC: u64 = 0;
const VERSION: u64 = 4;
const DEVICE_ID: u64 = 8;
const NOTIFY: u64 = 0x50;

/// The value of `MAGIC`, and the versions: 1.0 and later, and before.
const VIRTIO_MAGIC: u32 = 0x7472_6976;
const MODERN: u32 = 2;
const LEGACY: u32 = 1;

/// The length of the common configuration on PCI, and that of one notification there.
const COMMON_BYTES: u64 = 56;
const NOTIFICATION: u64 = 2;

/// The registers of each offset on PCI. Addresses have a half at each.
const ON_NO_BUS: [(u64, u64); 15] = [
    (DEVICE_FEATURES, 0x10),
    (DEVICE_FEATURES_SELECT, 0x14),
    (DRIVER_FEATURES, 0x20),
    (DRIVER_FEATURES_SELECT, 0x24),
    (QUEUE_SELECT, 0x30),
    (QUEUE_SIZE, 0x38),
    (QUEUE_ENABLE, 0x44),
    (STATUS, 0x70),
    (QUEUE_ADDRESSES[0], 0x80),
    (QUEUE_ADDRESSES[0] + 4, 0x84),
    (QUEUE_ADDRESSES[1], 0x90),
    (QUEUE_ADDRESSES[1] + 4, 0x94),
    (QUEUE_ADDRESSES[2], 0xa0),
    (QUEUE_ADDRESSES[2] + 4, 0xa4),
    (GENERATION, 0xfc),
];

/// The largest size of a queue, which on PCI is read where the size is written.
const LARGEST_QUEUE: u64 = 0x34;

/// Registers that can't be those of a virtio device of version 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MmioError {
    /// The device is from before version 1.
    #[error("it is a virtio device from before version 1; start QEMU with `-global virtio-mmio.force-legacy=off`")]
    Legacy,
    /// The version is unknown.
    #[error("its registers are of version {0}, expected {MODERN}")]
    Version(u32),
}

/// Returns the type of the device that has these registers; `None` if there is none.
pub fn mmio_type<R: Registers>(registers: &R) -> Option<u16> {
    if registers.read_u32(MAGIC) != VIRTIO_MAGIC {
        return None;
    }
    u16::try_from(registers.read_u32(DEVICE_ID)).ok().filter(|kind| *kind != 0)
}

/// Checks that registers are of version 1 of the specification.
///
/// # Errors
/// They are not.
pub fn check_version<R: Registers>(registers: &R) -> Result<(), MmioError> {
    match registers.read_u32(VERSION) {
        MODERN => Ok(()),
        LEGACY => Err(MmioError::Legacy),
        other => Err(MmioError::Version(other)),
    }
}

/// Registers of a virtio device on either bus, by their offsets on PCI.
#[derive(Clone, Copy, Debug)]
pub enum VirtioRegisters<R> {
    /// As they are: all on PCI, and the device's own configuration.
    Plain(R),
    /// The common configuration of a device that is on no bus.
    Common(R),
    /// The notifications of such a device, all at one place.
    Notify(R),
}

impl<R: Registers + Copy> VirtioRegisters<R> {
    /// Returns the parts of the registers of a device on no bus: common configuration, notifications, its own configuration;
    /// `None` if there are too few.
    pub fn on_no_bus(registers: R) -> Option<[Part<VirtioRegisters<R>>; 3]> {
        let config = Part::new(VirtioRegisters::Plain(registers), CONFIG, MMIO_BYTES - CONFIG)?;
        let common = Part::new(VirtioRegisters::Common(registers), 0, COMMON_BYTES)?;
        Some([common, Part::new(VirtioRegisters::Notify(registers), 0, NOTIFICATION)?, config])
    }
}

impl<R: Registers> VirtioRegisters<R> {
    /// Reads a register of the common configuration.
    fn read(registers: &R, offset: u64) -> u32 {
        match offset {
            // There are no vectors.
            CONFIG_VECTOR | QUEUE_VECTOR => NO_VECTOR.into(),
            QUEUE_NOTIFY => 0,
            QUEUE_SIZE => registers.read_u32(LARGEST_QUEUE),
            _ => place(offset).map_or(u32::MAX, |place| registers.read_u32(place)),
        }
    }

    fn write(registers: &R, offset: u64, value: u32) {
        if let Some(place) = place(offset) {
            registers.write_u32(place, value);
        }
    }
}

/// Returns the place of what is at an offset on PCI.
fn place(offset: u64) -> Option<u64> {
    ON_NO_BUS.iter().find(|(on_pci, _)| *on_pci == offset).map(|(_, place)| *place)
}

/// Implements the reads and writes, which are alike for all sizes.
macro_rules! registers {
    ($($read:ident, $write:ident: $word:ty;)+) => {
        impl<R: Registers> Registers for VirtioRegisters<R> {
            fn length(&self) -> u64 {
                match self {
                    VirtioRegisters::Plain(registers) => registers.length(),
                    VirtioRegisters::Common(_) => COMMON_BYTES,
                    VirtioRegisters::Notify(_) => NOTIFICATION,
                }
            }

            $(
                #[inline]
                fn $read(&self, offset: u64) -> $word {
                    match self {
                        VirtioRegisters::Plain(registers) => registers.$read(offset),
                        VirtioRegisters::Common(registers) => Self::read(registers, offset) as $word,
                        VirtioRegisters::Notify(_) => <$word>::MAX,
                    }
                }

                #[inline]
                fn $write(&self, offset: u64, value: $word) {
                    match self {
                        VirtioRegisters::Plain(registers) => registers.$write(offset, value),
                        VirtioRegisters::Common(registers) => Self::write(registers, offset, value.into()),
                        VirtioRegisters::Notify(registers) => registers.write_u32(NOTIFY, value.into()),
                    }
                }
            )+
        }
    };
}

registers! {
    read_u8, write_u8: u8;
    read_u16, write_u16: u16;
    read_u32, write_u32: u32;
}

#[cfg(test)]
mod tests;
