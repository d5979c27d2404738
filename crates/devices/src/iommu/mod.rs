//! A virtio IOMMU (OASIS, Virtual I/O Device 1.2, 5.13): who is behind it (`viot`), its requests and faults (`messages`,
//! `buffers`, `queues`), and its driver (`driver`).

mod buffers;
mod driver;
mod error;
mod messages;
mod queues;
mod viot;

pub use buffers::BufferPage;
pub use driver::{Domain, Iommu};
pub use error::IommuError;
pub use messages::{Direction, Fault, Request, RequestError, status};
pub use queues::Pages;
pub use viot::{Viot, ViotError};
