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

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use machine::Machine;

/// The time between two looks at the rings of a device.
const POLL: Duration = Duration::from_micros(500);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a thread that lets a device look at its rings again and again, as long as someone has its orders.
fn poll<Orders: Send + 'static>(
    machine: &Arc<Mutex<Machine>>,
    orders: &Arc<Mutex<Orders>>,
    look: impl Fn(&mut Machine, &mut Orders) -> io::Result<()> + Send + 'static,
) {
    let (machine, orders) = (Arc::clone(machine), Arc::downgrade(orders));
    thread::spawn(move || {
        while let Some(orders) = orders.upgrade() {
            // The orders first, as wherever both are wanted.
            let mut current = lock(&orders);
            // A machine whose memory can't be reached is gone, and another one may come.
            _ = look(&mut lock(&machine), &mut current);
            drop(current);
            drop(orders);
            thread::sleep(POLL);
        }
    });
}
