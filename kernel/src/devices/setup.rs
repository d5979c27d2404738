//! Steps of opening a device, whoever drives it: its registers, and the reason if it can't be used.

use core::arch::x86_64::_rdtsc;
use core::error::Error;
use core::fmt;

use bareflow_device::DeviceError;
use bareflow_devices::iommu::IommuError;
use bareflow_devices::pci::{BarError, Bars, DeviceFunction, MsiXError};
use bareflow_devices::virtio::{
    Lost, MmioError, Structure, StructureError, Structures, VirtioDevice, VirtioRegisters, check_version,
};
use bareflow_devices::{Part, Patience};
use bareflow_suite::error_text;
use bareflow_suite::fallible::ErrorText;

use super::mmio;
use super::ports::Ports;
use super::window::{Window, WindowError};

/// The reason for which a device can't be used: for its driver, and for people.
#[derive(Debug)]
pub struct Problem {
    pub error: DeviceError,
    pub text: Option<ErrorText>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => write!(f, "{text}"),
            None => write!(f, "{:?}", self.error),
        }
    }
}

impl Error for Problem {}

impl From<DeviceError> for Problem {
    fn from(error: DeviceError) -> Problem {
        Problem { error, text: None }
    }
}

/// Implements the conversion of what a device says of itself, which can't be.
macro_rules! problems {
    ($error:ident: $($kind:ty),+) => {
        $(impl From<$kind> for Problem {
            fn from(found: $kind) -> Problem {
                Problem { error: DeviceError::$error, text: Some(error_text!("{found}")) }
            }
        })+
    };
}

problems!(BadDevice: BarError, MmioError, MsiXError, StructureError, IommuError);
problems!(NoMemory: WindowError);
problems!(Lost: Lost);

/// The registers of a virtio device, which lie on PCI or on no bus.
pub type DeviceRegisters = VirtioRegisters<Window>;

/// A second at 4 GHz, and more on slower processors: the time for which devices are waited for.
pub const PATIENCE: Patience = Patience { now: cycles, limit: 1 << 32 };

fn cycles() -> u64 {
    // SAFETY: every x86-64 processor has the counter, and reading it has no effect.
    unsafe { _rdtsc() }
}

/// Maps a place in a function's registers.
///
/// # Safety
/// The registers are where neither memory nor anything is on which the kernel relies.
pub unsafe fn registers(bars: &Bars, place: Structure) -> Result<Window, Problem> {
    let Structure { bar, offset, length } = place;
    let bar = bars.get(bar).copied().flatten();
    let bar = bar.filter(|bar| offset.checked_add(length).is_some_and(|end| end <= bar.size));
    let bar = bar.ok_or(DeviceError::BadDevice)?;
    // SAFETY: it lies in the range, of which the caller promises the same.
    Ok(unsafe { Window::new(bar.address + offset, length) }?)
}

/// Maps the registers of a virtio device, which answers there already, and resets it.
///
/// # Safety
/// As of [`registers`].
pub unsafe fn virtio_device(function: DeviceFunction, bars: &Bars) -> Result<VirtioDevice<DeviceRegisters>, Problem> {
    let structures = Structures::find(&Ports, function, bars)?;
    let part = |place: Structure| {
        // SAFETY: the caller promises the same.
        let window = unsafe { registers(bars, place) }?;
        Part::new(VirtioRegisters::Plain(window), 0, place.length).ok_or(Problem::from(DeviceError::BadDevice))
    };
    let notify = (part(structures.notify)?, structures.notify_distance);
    let config = structures.device.map(part).transpose()?;
    Ok(VirtioDevice::new(part(structures.common)?, notify, config, PATIENCE)?)
}

/// Maps the registers of the virtio device at an address, on no bus, and resets it.
pub fn virtio_device_at(address: u64) -> Result<VirtioDevice<DeviceRegisters>, Problem> {
    let registers = mmio::registers(address)?;
    check_version(&registers)?;
    let [common, notify, config] = VirtioRegisters::on_no_bus(registers).ok_or(DeviceError::BadDevice)?;
    Ok(VirtioDevice::new(common, (notify, 0), Some(config), PATIENCE)?)
}
