//! Steps of opening a device, whoever drives it: its registers, and the reason if it can't be used.

use bareflow_device::DeviceError;
use bareflow_devices::Part;
use bareflow_devices::iommu::IommuError;
use bareflow_devices::pci::{BarError, Bars, DeviceFunction, MsiXError};
use bareflow_devices::virtio::{StartError, Structure, StructureError, Structures, VirtioDevice};
use bareflow_suite::error_text;
use bareflow_suite::fallible::ErrorText;

use super::ports::Ports;
use super::window::Window;

/// The reason for which a device can't be used: for its driver, and for people.
pub struct Problem {
    pub error: DeviceError,
    pub text: Option<ErrorText>,
}

impl From<DeviceError> for Problem {
    fn from(error: DeviceError) -> Problem {
        Problem { error, text: None }
    }
}

/// Implements the conversion of what a device says of itself, which can't be.
macro_rules! problems {
    ($($kind:ty),+) => {
        $(impl From<$kind> for Problem {
            fn from(found: $kind) -> Problem {
                Problem { error: DeviceError::BadDevice, text: Some(error_text!("{found}")) }
            }
        })+
    };
}

problems!(BarError, MsiXError, StructureError, StartError, IommuError);

/// Maps a place in a function's registers.
pub fn registers(bars: &Bars, place: Structure) -> Result<Window, DeviceError> {
    let Structure { bar, offset, length } = place;
    let bar = bars.get(bar).copied().flatten().ok_or(DeviceError::BadDevice)?;
    let all = Window::new(bar.address, bar.size).map_err(|_| DeviceError::NoMemory)?;
    all.part(offset, length).ok_or(DeviceError::BadDevice)
}

/// Maps the registers of a virtio device, which answers there already, and resets it.
pub fn virtio_device(function: DeviceFunction, bars: &Bars) -> Result<VirtioDevice<Window>, Problem> {
    let structures = Structures::find(&Ports, function, bars)?;
    let part = |place: Structure| Part::new(registers(bars, place)?, 0, place.length).ok_or(DeviceError::BadDevice);
    let notify = (part(structures.notify)?, structures.notify_distance);
    let config = structures.device.map(part).transpose()?;
    Ok(VirtioDevice::new(part(structures.common)?, notify, config)?)
}
