//! A disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::connection::Connection;
use crate::lie::Lie;
use crate::machine::Machine;
use crate::{lock, poll};

/// The size of a sector (5.2.4), and of a request's header (5.2.6).
const SECTOR_BYTES: usize = 512;
const HEADER_BYTES: usize = 16;

/// The length of the configuration that QEMU reads, of which all but the capacity is zeros.
const CONFIG_BYTES: usize = 60;

/// The type of a request that reads, and the answers (5.2.6).
const IN: u32 = 0;
const OK: u8 = 0;
const IO_ERROR: u8 = 1;
const UNSUPPORTED: u8 = 2;

/// A disk that is only read, honest, and lies about the next request when it is told to.
#[derive(Debug)]
pub struct Disk {
    machine: Arc<Mutex<Machine>>,
    orders: Arc<Mutex<Orders>>,
    socket: PathBuf,
    _folder: TempDir,
}

/// The content of a disk, and what it is to do.
#[derive(Debug)]
struct Orders {
    content: Vec<u8>,
    lie: Option<Lie>,
}

impl Disk {
    /// Makes a disk with this content, whole sectors, that waits for QEMU.
    ///
    /// # Errors
    /// When there is no place for its socket.
    pub fn start(content: Vec<u8>) -> io::Result<Disk> {
        let folder = tempfile::Builder::new().prefix("bareflow-").tempdir()?;
        let socket = folder.path().join("disk");
        let mut config = ((content.len() / SECTOR_BYTES) as u64).to_le_bytes().to_vec();
        config.resize(CONFIG_BYTES, 0);
        let machine = Arc::new(Mutex::new(Machine::new(1, config)));
        let orders = Arc::new(Mutex::new(Orders { content, lie: None }));
        Connection::listen(&socket, Arc::clone(&machine))?;
        poll(&machine, &orders, serve);
        Ok(Disk { machine, orders, socket, _folder: folder })
    }

    /// Returns the socket for QEMU's `vhost-user-blk-pci`.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Lies about the next request.
    pub fn lie(&self, lie: Lie) {
        lock(&self.orders).lie = Some(lie);
    }

    /// Answers the last request again, before there is a next one. Returns whether the machine runs the ring.
    ///
    /// # Errors
    /// When the machine's memory can't be reached.
    pub fn repeat(&self) -> io::Result<bool> {
        let mut machine = lock(&self.machine);
        let Some((ring, memory)) = machine.ring(0) else { return Ok(false) };
        ring.repeat(memory).map(|()| true)
    }
}

/// Answers the requests that there are.
fn serve(machine: &mut Machine, orders: &mut Orders) -> io::Result<()> {
    let Some((ring, memory)) = machine.ring(0) else { return Ok(()) };
    while let Some(chain) = ring.take(memory) {
        let answer = orders.answer(&chain.read()?, chain.room());
        let length = chain.write(&answer)?;
        ring.give_back(&chain, length, orders.lie.take(), memory)?;
    }
    Ok(())
}

impl Orders {
    /// Returns what is written to a request with room for so many bytes: the data, or zeros, and the status.
    fn answer(&self, request: &[u8], room: usize) -> Vec<u8> {
        let length = room.saturating_sub(1);
        match self.sectors(request, length) {
            Ok(sectors) => [sectors, &[OK]].concat(),
            Err(status) => [vec![0; length], vec![status]].concat(),
        }
    }

    /// Returns the bytes that a request reads, or the status that refuses it.
    fn sectors(&self, request: &[u8], length: usize) -> Result<&[u8], u8> {
        let Some(([k0, k1, k2, k3, _, _, _, _, sector @ ..], _)) = request.split_first_chunk::<HEADER_BYTES>() else {
            return Err(UNSUPPORTED);
        };
        if u32::from_le_bytes([*k0, *k1, *k2, *k3]) != IN {
            return Err(UNSUPPORTED);
        }
        let sector = usize::try_from(u64::from_le_bytes(*sector)).ok();
        let start = sector.and_then(|sector| sector.checked_mul(SECTOR_BYTES)).ok_or(IO_ERROR)?;
        let end = start.checked_add(length).ok_or(IO_ERROR)?;
        self.content.get(start..end).ok_or(IO_ERROR)
    }
}
