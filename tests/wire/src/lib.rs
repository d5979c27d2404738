//! A network's wire for tests and measurements: a card of QEMU at one end, QEMU's user network at the other, and everything
//! between them that can happen to a frame.
//!
//! ```text
//! stream.rs        frames on a socket
//! user_network.rs  QEMU's user network in a process of its own, with ports of 127.0.0.1 that lead to the machine
//! faults.rs        frames that are lost, doubled, late and cut
//! segments.rs      the fields of TCP segments: which are sent again, which are a stranger's
//! wire.rs          the wire
//! hostile.rs       frames that no honest host sends
//! ```

#![forbid(unsafe_code)]

pub mod faults;
pub mod hostile;
mod segments;
pub mod stream;
pub mod user_network;
mod wire;

pub use wire::{Counts, Wire};
