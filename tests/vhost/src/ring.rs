//! A ring, by which chains are taken and given back, honestly or not.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use virtio_queue::{DescriptorChain, Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::lie::Lie;

/// The machine's memory.
pub type Memory = Arc<GuestMemoryMmap>;

/// The largest ring (2.7).
const MAX_SIZE: u16 = 1 << 15;

/// The flag by which a driver wants no interrupts (2.7.6).
const NO_INTERRUPT: u16 = 1;

/// The offsets in both rings: the index, and the elements.
const INDEX: u64 = 2;
const ELEMENTS: u64 = 4;

/// The sizes of an element of the device's ring and of the driver's, and of a descriptor.
const USED_BYTES: u64 = 8;
const AVAILABLE_BYTES: usize = 2;
const DESCRIPTOR_BYTES: usize = 16;

/// The byte that a device overwrites rings with.
const NOISE: u8 = 0xa5;

/// A chain that the device has.
#[derive(Debug)]
pub struct Chain {
    /// The number of its first descriptor, and of its second one.
    first: u16,
    second: Option<u16>,
    /// The bytes that the device may write to it.
    room: u32,
    parts: DescriptorChain<Memory>,
}

impl Chain {
    /// Returns the number of bytes that the device may write.
    pub fn room(&self) -> usize {
        self.room as usize
    }

    /// Returns what the driver wrote.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut reader = self.parts.clone().reader(self.parts.memory()).map_err(io::Error::other)?;
        reader.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes to the chain. Returns the number of bytes.
    pub fn write(&self, bytes: &[u8]) -> io::Result<u32> {
        let mut writer = self.parts.clone().writer(self.parts.memory()).map_err(io::Error::other)?;
        writer.write_all(bytes)?;
        u32::try_from(bytes.len()).map_err(io::Error::other)
    }
}

/// A ring.
#[derive(Debug)]
pub struct Ring {
    queue: Queue,
    /// The file by which QEMU is told to interrupt.
    call: Option<File>,
}

impl Default for Ring {
    fn default() -> Ring {
        let queue = Queue::new(MAX_SIZE).unwrap_or_else(|error| panic!("{MAX_SIZE} is a size of rings: {error}"));
        Ring { queue, call: None }
    }
}

/// The setting up of a ring by QEMU.
impl Ring {
    /// Sets the number of descriptors.
    pub fn set_size(&mut self, size: u16) {
        self.queue.set_size(size);
    }

    /// Sets the places of the descriptors, of what is available and of what is used.
    pub fn set_places(&mut self, places: [u64; 3], memory: &Memory) -> io::Result<()> {
        let [descriptors, available, used] = places.map(GuestAddress);
        self.queue.try_set_desc_table_address(descriptors).map_err(io::Error::other)?;
        self.queue.try_set_avail_ring_address(available).map_err(io::Error::other)?;
        self.queue.try_set_used_ring_address(used).map_err(io::Error::other)?;
        let used = self.queue.used_idx(&**memory, Ordering::Acquire).map_err(io::Error::other)?;
        self.queue.set_next_used(used.0);
        Ok(())
    }

    /// Sets the index of the next chain that is available.
    pub fn set_next(&mut self, available: u16) {
        self.queue.set_next_avail(available);
    }

    /// Sets the file by which QEMU is told to interrupt, if it wants that. QEMU changes it when an interrupt is masked or not, looks
    /// at the old one, and waits for no answer: what came to the old one after that goes to the new one.
    pub fn set_call(&mut self, call: Option<File>) -> io::Result<()> {
        // QEMU's file does not block.
        let is_left = self.call.take().is_some_and(|mut old| old.read_exact(&mut [0; 8]).is_ok());
        self.call = call;
        self.call.as_ref().filter(|_| is_left).map_or(Ok(()), interrupt)
    }

    /// Runs the ring.
    pub fn start(&mut self) {
        self.queue.set_ready(true);
    }

    /// Stops the ring. Returns the index at which it is to go on.
    pub fn stop(&mut self) -> u16 {
        self.queue.set_ready(false);
        self.queue.next_avail()
    }

    /// Returns whether the ring runs.
    pub fn is_running(&self) -> bool {
        self.queue.ready()
    }
}

/// The use of a ring by a device.
impl Ring {
    /// Takes the next chain, if there is one.
    pub fn take(&mut self, memory: &Memory) -> Option<Chain> {
        let parts = self.queue.pop_descriptor_chain(Arc::clone(memory))?;
        let first = parts.head_index();
        let second = parts.clone().next().filter(|part| part.has_next()).map(|part| part.next());
        let room = parts.clone().writable().map(|part| part.len()).sum();
        Some(Chain { first, second, room, parts })
    }

    /// Gives a chain back, to which `length` bytes were written, with a lie or honestly. Interrupts if the driver wants that.
    pub fn give_back(&mut self, chain: &Chain, length: u32, lie: Option<Lie>, memory: &Memory) -> io::Result<()> {
        match lie {
            None => self.queue.add_used(&**memory, chain.first, length).map_err(io::Error::other)?,
            Some(lie) => self.lie(chain, length, lie, memory).map_err(io::Error::other)?,
        }
        let flags = memory.load::<u16>(GuestAddress(self.queue.avail_ring()), Ordering::Relaxed);
        if flags.map_err(io::Error::other)? & NO_INTERRUPT == 0 {
            self.call.as_ref().map_or(Ok(()), interrupt)
        } else {
            Ok(())
        }
    }

    fn lie(&self, chain: &Chain, length: u32, lie: Lie, memory: &Memory) -> Result<(), vm_memory::GuestMemoryError> {
        let (size, index) = (self.queue.size(), self.queue.next_used());
        let (mut id, mut length, mut ahead) = (chain.first, length, 1);
        match lie {
            Lie::IdOutOfRange => id = size,
            Lie::IdNotGiven => id = chain.second.unwrap_or(size - 1),
            Lie::IdTwice => ahead = 2,
            Lie::TooLong => length = chain.room + 1,
            Lie::IndexJumps => ahead = size + 1,
            Lie::IndexRunsBackwards => ahead = u16::MAX,
        }
        let ring = self.queue.used_ring();
        for place in [index, index.wrapping_add(1)] {
            let element = GuestAddress(ring + ELEMENTS + u64::from(place % size) * USED_BYTES);
            memory.write_obj([u32::from(id).to_le(), length.to_le()], element)?;
        }
        memory.store(index.wrapping_add(ahead).to_le(), GuestAddress(ring + INDEX), Ordering::Release)
    }

    /// Gives the chain back again that was given back last, whoever has it now.
    pub fn repeat(&self, memory: &Memory) -> io::Result<()> {
        let next = self.queue.next_used();
        let element = |index: u16| {
            GuestAddress(self.queue.used_ring() + ELEMENTS + u64::from(index % self.queue.size()) * USED_BYTES)
        };
        let last: u64 = memory.read_obj(element(next.wrapping_sub(1))).map_err(io::Error::other)?;
        memory.write_obj(last, element(next)).map_err(io::Error::other)?;
        let index = GuestAddress(self.queue.used_ring() + INDEX);
        memory.store(next.wrapping_add(1).to_le(), index, Ordering::Release).map_err(io::Error::other)
    }

    /// Overwrites what the driver wrote, its descriptors and its ring, but for whether it wants interrupts.
    pub fn overwrite(&self, memory: &Memory) -> io::Result<()> {
        let (size, available) = (usize::from(self.queue.size()), self.queue.avail_ring());
        for (place, bytes) in [
            (self.queue.desc_table(), vec![NOISE; size * DESCRIPTOR_BYTES]),
            (available + ELEMENTS, vec![NOISE; size * AVAILABLE_BYTES]),
            // The device itself is to find no chains that there are not.
            (available + INDEX, self.queue.next_avail().to_le_bytes().to_vec()),
        ] {
            memory.write_slice(&bytes, GuestAddress(place)).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Returns the file by which QEMU is told to interrupt.
    pub fn call(&self) -> Option<File> {
        self.call.as_ref().and_then(|call| call.try_clone().ok())
    }
}

/// Tells QEMU to interrupt by an event's file.
pub fn interrupt(mut call: &File) -> io::Result<()> {
    call.write_all(&1_u64.to_ne_bytes())
}
