//! The transport of the kernel's own devices: that of `bareflow-devices` on PCI, that of the crate `virtio-drivers` on microvm, whose
//! registers are the machine's own.

use bareflow_devices::virtio::OwnDevice;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::devices::window::Window;

/// The transport.
pub enum OwnTransport {
    Pci(OwnDevice<Window>),
    Mmio(MmioTransport<'static>),
}

/// Passes methods on to either.
macro_rules! pass {
    ($(fn $name:ident($me:ident: $($borrow:tt)+)($($argument:ident: $type:ty),*) $(-> $result:ty)?;)+) => {
        $(fn $name($($borrow)+ $me, $($argument: $type),*) $(-> $result)? {
            match $me {
                OwnTransport::Pci(device) => device.$name($($argument),*),
                OwnTransport::Mmio(device) => device.$name($($argument),*),
            }
        })+
    };
}

impl Transport for OwnTransport {
    pass! {
        fn device_type(self: &)() -> DeviceType;
        fn read_device_features(self: &mut)() -> u64;
        fn write_driver_features(self: &mut)(driver_features: u64);
        fn max_queue_size(self: &mut)(queue: u16) -> u32;
        fn notify(self: &mut)(queue: u16);
        fn get_status(self: &)() -> DeviceStatus;
        fn set_status(self: &mut)(status: DeviceStatus);
        fn set_guest_page_size(self: &mut)(guest_page_size: u32);
        fn requires_legacy_layout(self: &)() -> bool;
        fn queue_set(self: &mut)(queue: u16, size: u32, descriptors: PhysAddr, driver_area: PhysAddr, device_area: PhysAddr);
        fn queue_unset(self: &mut)(queue: u16);
        fn queue_used(self: &mut)(queue: u16) -> bool;
        fn ack_interrupt(self: &mut)() -> InterruptStatus;
        fn read_config_generation(self: &)() -> u32;
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        match self {
            OwnTransport::Pci(device) => device.read_config_space(offset),
            OwnTransport::Mmio(device) => device.read_config_space(offset),
        }
    }

    fn write_config_space<T: IntoBytes + Immutable>(&mut self, offset: usize, value: T) -> Result<()> {
        match self {
            OwnTransport::Pci(device) => device.write_config_space(offset, value),
            OwnTransport::Mmio(device) => device.write_config_space(offset, value),
        }
    }

    fn read_consistent<T>(&self, read: impl Fn() -> Result<T>) -> Result<T> {
        match self {
            OwnTransport::Pci(device) => device.read_consistent(read),
            OwnTransport::Mmio(device) => device.read_consistent(read),
        }
    }
}
