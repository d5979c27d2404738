//! The devices as the loader sees them.

use core::sync::atomic::Ordering;

use allocator_api2::boxed::Box;
use bareflow_device::{Buffer, Completion, DeviceError};
use bareflow_devices::virtio::is_bounded_by_queues;
use bareflow_loader::{DeviceBus, DeviceFacts, Reach, RegionMemory};
use bareflow_suite::console::Style;
use spin::Mutex;

use super::interrupts::{self, SLOTS};
use super::iommu;
use super::known::{Known, Place, all};
use super::messages::Message;
use super::open::OpenDevice;
use super::ports::requester_id;
use crate::console;

/// The devices that are open, by their vectors.
static OPEN: Mutex<[Option<Box<OpenDevice>>; SLOTS]> = Mutex::new([const { None }; SLOTS]);

/// All devices.
pub struct Bus;

impl Bus {
    /// Passes an open device to `work`.
    #[inline]
    fn with<T>(
        &self,
        device: u32,
        work: impl FnOnce(&mut OpenDevice) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        let mut open = OPEN.lock();
        let found = open.iter_mut().flatten().find(|open| open.number() == device);
        work(found.ok_or(DeviceError::NotOpen)?)
    }
}

// SAFETY: `OpenDevice` makes a virtio device a bus master once it was reset, and any other at its first `attach`, by which its driver
// answers for what it was told before (`Reach`); it gives it the addresses of its regions and of its own queues, and
// takes them back by a reset and by ending that; whether it ended is read back.
unsafe impl DeviceBus for Bus {
    fn count(&self) -> u32 {
        all().len() as u32
    }

    fn facts(&self, device: u32) -> Option<DeviceFacts> {
        let known = all().get(device as usize)?;
        let Known { place, ids, is_own, .. } = *known;
        let is_bounded = is_bounded_by_queues(ids.virtio);
        let (location, function) = match place {
            Place::Pci(function) => (requester_id(function).into(), Some(function)),
            Place::Mmio(address) => (address, None),
        };
        let iommu = function.and_then(iommu::state);
        Some(DeviceFacts {
            ids,
            location,
            is_on_pci: function.is_some(),
            has_interrupt: function.is_some_and(Message::is_sent_by),
            reach: match iommu {
                // What the kernel itself drives may use all memory.
                Some(true) if !is_own => Reach::Iommu,
                _ if is_bounded => Reach::Checked,
                _ => Reach::Trusted,
            },
            is_embedders: is_own,
            faults: function.map_or(0, iommu::faults),
            is_broken: OPEN.lock().iter().flatten().any(|open| open.number() == device && open.is_broken()),
            problem: match iommu {
                Some(false) => Some("the IOMMU that it is behind can't be used"),
                _ => known.is_lost().then_some("it did not end a reset; boot again"),
            },
        })
    }

    fn open(&self, device: u32) -> Result<(), DeviceError> {
        let found = all().get(device as usize).filter(|known| !known.is_own);
        let known = found.ok_or(DeviceError::NoSuchDevice)?;
        if known.is_lost() {
            return Err(DeviceError::Lost);
        }
        let mut open = OPEN.lock();
        if open.iter().flatten().any(|open| open.number() == device) {
            return Err(DeviceError::Open);
        }
        let free = open.iter().position(Option::is_none).ok_or(DeviceError::TooMany)?;
        let opened = OpenDevice::new(device, free, known)
            .inspect_err(|error| known.is_lost.store(*error == DeviceError::Lost, Ordering::Relaxed))?;
        if let Some(place) = open.get_mut(free) {
            *place = Some(opened);
        }
        Ok(())
    }

    fn close(&self, device: u32, put: &mut dyn FnMut(u32, u32, Completion)) -> bool {
        let mut open = OPEN.lock();
        let found = open.iter_mut().find(|place| place.as_ref().is_some_and(|open| open.number() == device));
        let Some(open) = found.and_then(Option::take) else { return true };
        let is_quiet = Box::into_inner(open).close(all().get(device as usize), put);
        interrupts::forget(device);
        is_quiet
    }

    fn listen(&self, device: u32) -> Result<(), DeviceError> {
        self.with(device, |open| {
            open.listen();
            Ok(())
        })
    }

    fn attach(&self, device: u32, number: u32, memory: &RegionMemory) -> Result<(), DeviceError> {
        self.with(device, |open| open.attach(number, memory))
    }

    fn detach(&self, device: u32, memory: u32) -> Result<(), DeviceError> {
        self.with(device, |open| open.detach(memory))
    }

    fn note_trust(&self, device: u32, module: &str) {
        if let Some(known) = all().get(device as usize) {
            let location = known.place;
            console::show(
                Style::Warning,
                format_args!(
                    "[WARN] device {location}: {module} drives it, and can have it reach all memory; it is trusted\n"
                ),
            );
        }
    }

    #[inline]
    fn read(&self, device: u32, bar: u32, offset: u32, width: u32) -> Result<u64, DeviceError> {
        self.with(device, |open| open.read(bar, offset, width))
    }

    #[inline]
    fn write(&self, device: u32, bar: u32, offset: u32, width: u32, value: u64) -> Result<(), DeviceError> {
        self.with(device, |open| open.write(bar, offset, width, value))
    }

    #[inline]
    fn addresses(&self, device: u32, buffers: &[Buffer], put: &mut dyn FnMut(u64)) -> Result<(), DeviceError> {
        let ids = all().get(device as usize).map(|known| known.ids);
        if ids.is_some_and(|ids| is_bounded_by_queues(ids.virtio)) {
            return Err(DeviceError::Checked);
        }
        self.with(device, |open| open.addresses(buffers, put))
    }

    fn negotiate(&self, device: u32, wanted: u64) -> Result<u64, DeviceError> {
        self.with(device, |open| open.virtio()?.negotiate(wanted))
    }

    fn set_up_queue(&self, device: u32, queue: u32, size: u32) -> Result<u32, DeviceError> {
        self.with(device, |open| open.set_up_queue(queue, size))
    }

    fn set_interrupt(&self, device: u32, queue: u32, wanted: bool) -> Result<(), DeviceError> {
        self.with(device, |open| open.set_interrupt(queue, wanted))
    }

    fn start(&self, device: u32) -> Result<(), DeviceError> {
        self.with(device, OpenDevice::start)
    }

    fn config(&self, device: u32, offset: u32, into: &mut [u8]) -> Result<(), DeviceError> {
        self.with(device, |open| open.virtio()?.config(offset, into))
    }

    #[inline]
    fn submit(&self, device: u32, queue: u32, buffers: &[Buffer]) -> Result<u32, DeviceError> {
        self.with(device, |open| open.submit(queue, buffers))
    }

    #[inline]
    fn collect(
        &self,
        device: u32,
        queue: u32,
        room: usize,
        put: &mut dyn FnMut(Completion),
    ) -> Result<u32, DeviceError> {
        self.with(device, |open| open.collect(queue, room, put))
    }

    fn take_interrupts(&self) -> u64 {
        interrupts::take_pending()
    }
}
