//! The registers that a driver reaches by itself: those of a device that is no virtio device, but for its interrupts.

use bareflow_device::DeviceError;
use bareflow_devices::Registers;
use bareflow_devices::pci::{Bars, DriverRegister, Reserved, driver_register};

use super::window::Window;

/// The registers of an open device.
pub struct DriverRegisters {
    bars: Bars,
    reserved: [Reserved; 2],
    /// The ranges that were used so far, as they are mapped.
    windows: [Option<Window>; 6],
}

impl DriverRegisters {
    /// Takes the ranges of a device.
    ///
    /// # Safety
    /// They are where neither memory nor anything is on which the kernel relies, but for what is `reserved`.
    pub unsafe fn new(bars: Bars, reserved: [Reserved; 2]) -> DriverRegisters {
        DriverRegisters { bars, reserved, windows: [None; 6] }
    }

    /// Reads a register, once: that may have an effect.
    pub fn read(&mut self, bar: u32, offset: u32, width: u32) -> Result<u64, DeviceError> {
        let (window, offset) = self.find(bar, offset, width)?;
        Ok(match width {
            1 => window.read_u8(offset).into(),
            2 => window.read_u16(offset).into(),
            4 => window.read_u32(offset).into(),
            _ => window.read_u64(offset),
        })
    }

    /// Writes a register.
    pub fn write(&mut self, bar: u32, offset: u32, width: u32, value: u64) -> Result<(), DeviceError> {
        let (window, offset) = self.find(bar, offset, width)?;
        match width {
            1 => window.write_u8(offset, value as u8),
            2 => window.write_u16(offset, value as u16),
            4 => window.write_u32(offset, value as u32),
            _ => window.write_u64(offset, value),
        }
        Ok(())
    }

    /// Finds a register, and maps its range if it is the first one of it.
    fn find(&mut self, bar: u32, offset: u32, width: u32) -> Result<(Window, u64), DeviceError> {
        let DriverRegister { bar: range, offset } = driver_register(&self.bars, &self.reserved, bar, offset, width)?;
        let place = self.windows.get_mut(bar as usize).ok_or(DeviceError::NoSuchRange)?;
        if place.is_none() {
            // SAFETY: the caller of `new` promised what is there. What is reserved is not reached, as `driver_register` checked.
            let window = unsafe { Window::new(range.address, range.size) };
            *place = Some(window.map_err(|_| DeviceError::NoMemory)?);
        }
        place.map(|window| (window, offset)).ok_or(DeviceError::NoSuchRange)
    }
}
