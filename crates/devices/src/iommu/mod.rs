//! A virtio IOMMU (OASIS, Virtual I/O Device 1.2, 5.13): who is behind it (`viot`), and its requests and faults (`messages`).

mod messages;
mod viot;

pub use messages::{Direction, Fault, Request, RequestError, status};
pub use viot::{Viot, ViotError};
