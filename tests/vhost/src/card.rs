//! A network card.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::connection::Connection;
use crate::lie::Lie;
use crate::machine::Machine;
use crate::ring::interrupt;
use crate::{lock, poll};

/// The length of the header before a frame (5.1.6), of zeros but for the number of buffers.
const HEADER_BYTES: usize = 12;
const HEADER: [u8; HEADER_BYTES] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];

/// The interrupts of a storm between two looks at whom they go to.
const BURST: usize = 100;

/// A queue of the card (5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// The one by which the machine receives.
    Receive,
    /// The one by which it sends.
    Transmit,
}

/// A card that is honest, and lies about the next chain of a queue when it is told to.
#[derive(Debug)]
pub struct Card {
    machine: Arc<Mutex<Machine>>,
    orders: Arc<Mutex<Orders>>,
    sent: Mutex<Receiver<Vec<u8>>>,
    connection: Connection,
    socket: PathBuf,
    _folder: TempDir,
}

/// The orders of the card, for each queue.
#[derive(Debug, Default)]
struct Orders {
    /// The lie about the next chain.
    lies: [Option<Lie>; 2],
    /// Whether no chain is taken.
    is_silent: [bool; 2],
}

impl Card {
    /// Makes a card that waits for QEMU.
    ///
    /// # Errors
    /// When there is no place for its socket.
    pub fn start() -> io::Result<Card> {
        let folder = tempfile::Builder::new().prefix("bareflow-").tempdir()?;
        let socket = folder.path().join("card");
        let machine = Arc::new(Mutex::new(Machine::new(2, Vec::new())));
        let orders = Arc::default();
        let connection = Connection::listen(&socket, Arc::clone(&machine))?;
        let (sender, sent) = channel();
        poll(&machine, &orders, move |machine, orders: &mut Orders| transmit(machine, orders, &sender));
        Ok(Card { machine, orders, sent: Mutex::new(sent), connection, socket, _folder: folder })
    }

    /// Returns the socket for QEMU's `vhost-user`.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Gives the machine a frame. Returns whether it had a buffer for it.
    ///
    /// # Errors
    /// When its memory can't be reached.
    pub fn give(&self, frame: &[u8]) -> io::Result<bool> {
        let mut orders = lock(&self.orders);
        let queue = Queue::Receive as usize;
        if orders.is_silent[queue] {
            return Ok(false);
        }
        let mut machine = lock(&self.machine);
        let Some((ring, memory)) = machine.ring(queue) else { return Ok(false) };
        let Some(chain) = ring.take(memory) else { return Ok(false) };
        let length = chain.write(&[&HEADER, frame].concat())?;
        ring.give_back(&chain, length, orders.lies[queue].take(), memory)?;
        Ok(true)
    }

    /// Waits for the next frame that the machine sends.
    #[must_use]
    pub fn next(&self, patience: Duration) -> Option<Vec<u8>> {
        lock(&self.sent).recv_timeout(patience).ok()
    }

    /// Lies about the next chain of a queue.
    pub fn lie(&self, queue: Queue, lie: Lie) {
        lock(&self.orders).lies[queue as usize] = Some(lie);
    }

    /// Returns whether a lie about a queue is yet to be told.
    #[must_use]
    pub fn is_to_lie(&self, queue: Queue) -> bool {
        lock(&self.orders).lies[queue as usize].is_some()
    }

    /// Takes nothing of a queue any more, or goes on with what is in it.
    pub fn set_silent(&self, queue: Queue, is_silent: bool) {
        lock(&self.orders).is_silent[queue as usize] = is_silent;
    }

    /// Takes all chains of the queue by which the machine receives, overwrites its descriptors and the driver's ring, and gives the
    /// chains back with a frame in each. Returns their number.
    ///
    /// # Errors
    /// When the machine's memory can't be reached.
    pub fn overwrite(&self, frame: &[u8]) -> io::Result<usize> {
        let mut machine = lock(&self.machine);
        let Some((ring, memory)) = machine.ring(Queue::Receive as usize) else { return Ok(0) };
        let mut chains = Vec::new();
        while let Some(chain) = ring.take(memory) {
            let length = chain.write(&[&HEADER, frame].concat())?;
            chains.push((chain, length));
        }
        ring.overwrite(memory)?;
        chains.iter().try_for_each(|(chain, length)| ring.give_back(chain, *length, None, memory))?;
        Ok(chains.len())
    }

    /// Interrupts again and again, whatever there is to say. Returns how often.
    ///
    /// # Errors
    /// When QEMU is gone.
    pub fn interrupt_for(&self, duration: Duration) -> io::Result<u64> {
        let start = Instant::now();
        let mut times = 0;
        while start.elapsed() < duration {
            // The ring is used and set up meanwhile.
            let call = lock(&self.machine).ring(Queue::Receive as usize).and_then(|(ring, _)| ring.call());
            for _ in 0..BURST {
                call.as_ref().map_or(Ok(()), interrupt)?;
                times += u64::from(call.is_some());
            }
        }
        Ok(times)
    }

    /// Goes away, and has no rings from then on. Returns whether QEMU was connected.
    pub fn leave(&self) -> bool {
        // A new connection says nothing of rings meanwhile.
        let mut machine = lock(&self.machine);
        let was_connected = self.connection.cut();
        machine.forget();
        was_connected
    }
}

/// Takes what the machine sends.
fn transmit(machine: &mut Machine, orders: &mut Orders, sent: &Sender<Vec<u8>>) -> io::Result<()> {
    let queue = Queue::Transmit as usize;
    if orders.is_silent[queue] {
        return Ok(());
    }
    let Some((ring, memory)) = machine.ring(queue) else { return Ok(()) };
    while let Some(chain) = ring.take(memory) {
        let bytes = chain.read()?;
        ring.give_back(&chain, 0, orders.lies[queue].take(), memory)?;
        // Without a card no one wants the frame.
        _ = sent.send(bytes.get(HEADER_BYTES..).unwrap_or_default().to_vec());
    }
    Ok(())
}
