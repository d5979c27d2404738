//! Virtio devices (OASIS, Virtual I/O Device 1.2): where a function on PCI has their registers (`structures`), those of a device
//! on no bus (`mmio`), the registers themselves (`device`), the queues, which the kernel alone writes (`queue`, `page`), memory for both (`shared`), and devices that the
//! kernel drives by another crate (`transport`).

mod device;
mod mmio;
mod page;
mod queue;
mod shared;
mod structures;
#[cfg(test)]
pub(crate) mod testing;
mod transport;

pub use device::{Lost, Setup, VirtioDevice};
pub use mmio::{MMIO_BYTES, MmioError, VirtioRegisters, check_version, mmio_type};
pub use page::{MAX_QUEUE_SIZE, QueuePage};
pub(crate) use queue::Piece;
pub use queue::{Broken, Done, Queue};
pub use shared::{DevicePages, SharedPage};
pub use structures::{Structure, StructureError, Structures};
pub use transport::OwnDevice;

/// The types whose requests carry no addresses: what such a device reaches is what its queues say. A graphics card, a
/// balloon, or an IOMMU takes addresses of memory in its requests, too.
const BOUNDED_BY_QUEUES: [u16; 9] = [1, 2, 3, 4, 8, 9, 18, 19, 25];

/// Returns whether a type of device reaches no memory but that of the buffers in its queues.
#[must_use]
pub fn is_bounded_by_queues(kind: u16) -> bool {
    BOUNDED_BY_QUEUES.contains(&kind)
}
