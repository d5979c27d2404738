//! Virtio devices outside of QEMU, served by threads of the test: QEMU gives them the rings in the machine's memory
//! (vhost-user). A device is honest until it is told to lie, lies once, and is honest again.
//!
//! ```text
//! lie.rs         the ways in which a device lies about a ring
//! ring.rs        a ring, by which chains are taken and given back, honestly or not
//! machine.rs     the machine as QEMU describes it: its memory and its rings
//! connection.rs  QEMU's connections, one after another
//! card.rs        a network card
//! disk.rs        a disk
//! ```

#![forbid(unsafe_code)]

mod card;
mod connection;
mod disk;
mod lie;
mod machine;
mod ring;

pub use card::{Card, Queue};
pub use disk::Disk;
pub use lie::Lie;

use std::sync::{Mutex, MutexGuard, PoisonError};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
