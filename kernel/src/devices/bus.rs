//! The functions on PCI as the loader sees them.

use alloc::vec::Vec;

use allocator_api2::boxed::Box;
use bareflow_device::{Buffer, Completion, DeviceError};
use bareflow_devices::pci::{Function, capabilities, scan};
use bareflow_devices::virtio::is_bounded_by_queues;
use bareflow_loader::{DeviceBus, DeviceFacts, Reach, RegionMemory};
use spin::{Mutex, Once};
use virtio_drivers::transport::DeviceType;

use super::interrupts::{self, SLOTS};
use super::iommu;
use super::open::OpenDevice;
use super::ports::{self, Ports};

/// The class of bridges, which no one drives.
const BRIDGE: u8 = 6;

/// The capability by which a function sends messages as interrupts.
const MSI_X: u8 = 0x11;

/// The types of virtio devices of which the kernel drives the first itself, its disk and its channel, or may do so later.
const OWN_TYPES: [DeviceType; 2] = [DeviceType::Block, DeviceType::Console];

/// A function, and whether it is the kernel's own.
struct Known {
    function: Function,
    is_own: bool,
}

/// All functions that are no bridges, in the order of their places; as many as a word has bits.
static ALL: Once<Vec<Known>> = Once::new();

/// The devices that are open, by their vectors.
static OPEN: Mutex<[Option<Box<OpenDevice>>; SLOTS]> = Mutex::new([const { None }; SLOTS]);

fn all() -> &'static [Known] {
    ALL.call_once(|| {
        let (mut all, mut own) = (Vec::new(), OWN_TYPES.map(Some));
        if let Some(root) = ports::root() {
            scan(&root, &Ports, |function| {
                let has_room = all.len() < u64::BITS as usize && all.try_reserve(1).is_ok();
                if has_room && !function.is_bridge && function.ids.class != BRIDGE {
                    // The first that is met, as `virtio::find` takes it.
                    let first = own.iter_mut().find(|own| own.is_some_and(|own| own as u16 == function.ids.virtio));
                    let is_own = first.and_then(Option::take).is_some() || function.ids.virtio == iommu::TYPE;
                    all.push(Known { function: *function, is_own });
                }
                has_room
            });
        }
        all.sort_unstable_by_key(|known: &Known| known.function.location);
        all
    })
}

/// The functions on PCI.
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

impl DeviceBus for Bus {
    fn count(&self) -> u32 {
        all().len() as u32
    }

    fn facts(&self, device: u32) -> Option<DeviceFacts> {
        let Known { function: Function { location, ids, .. }, is_own } = *all().get(device as usize)?;
        let is_bounded = is_bounded_by_queues(ids.virtio);
        let iommu = iommu::state(location);
        Some(DeviceFacts {
            ids,
            location: iommu::number(location).into(),
            is_on_pci: true,
            has_interrupt: capabilities(&Ports, location).any(|capability| capability.id == MSI_X),
            reach: match iommu {
                // What the kernel itself drives may use all memory.
                Some(true) if !is_own => Reach::Iommu,
                _ if is_bounded => Reach::Checked,
                _ => Reach::Trusted,
            },
            is_embedders: is_own,
            faults: iommu::faults(location),
            problem: (iommu == Some(false)).then_some("the IOMMU that it is behind can't be used"),
        })
    }

    fn open(&self, device: u32) -> Result<(), DeviceError> {
        let found = all().get(device as usize).filter(|known| !known.is_own);
        let function = &found.ok_or(DeviceError::NoSuchDevice)?.function;
        let mut open = OPEN.lock();
        let free = open.iter().position(Option::is_none).ok_or(DeviceError::TooMany)?;
        let opened = OpenDevice::new(device, free, function)?;
        if let Some(place) = open.get_mut(free) {
            *place = Some(opened);
        }
        Ok(())
    }

    fn close(&self, device: u32) -> bool {
        let mut open = OPEN.lock();
        let found = open.iter_mut().find(|place| place.as_ref().is_some_and(|open| open.number() == device));
        let Some(open) = found.and_then(Option::take) else { return true };
        Box::into_inner(open).close();
        interrupts::forget(device);
        // No function uses memory that is no bus master.
        true
    }

    fn listen(&self, device: u32) -> Result<(), DeviceError> {
        self.with(device, |open| {
            open.listen();
            Ok(())
        })
    }

    fn attach(&self, device: u32, memory: &RegionMemory) -> Result<u32, DeviceError> {
        self.with(device, |open| open.attach(memory))
    }

    fn detach(&self, device: u32, memory: u32) -> Result<(), DeviceError> {
        self.with(device, |open| open.detach(memory))
    }

    fn negotiate(&self, device: u32, wanted: u64) -> Result<u64, DeviceError> {
        self.with(device, |open| open.virtio()?.negotiate(wanted))
    }

    fn set_up_queue(&self, device: u32, queue: u32, size: u32) -> Result<u32, DeviceError> {
        self.with(device, |open| open.set_up_queue(queue, size))
    }

    fn set_interrupt(&self, device: u32, queue: u32, wanted: bool) -> Result<(), DeviceError> {
        self.with(device, |open| open.session.set_interrupt(queue, wanted))
    }

    fn start(&self, device: u32) -> Result<(), DeviceError> {
        self.with(device, |open| open.virtio()?.start())
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
