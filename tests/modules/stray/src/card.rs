//! The card's registers, which it shows in configuration space, too (4.1.4.9 of virtio's specification).

use core::arch::asm;

/// The ports of configuration space.
const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;

/// A network card of version 1.
const NETWORK_CARD: u32 = 0x1041_1af4;

/// The registers of configuration space: the command with its bit that lets the card use memory, and the first capability.
const COMMAND: u8 = 0x04;
const BUS_MASTER: u32 = 1 << 2;
const FIRST: u8 = 0x34;

/// The kinds of virtio's capabilities.
const VENDOR: u8 = 9;
const COMMON: u8 = 1;
const NOTIFY: u8 = 2;
const ACCESS: u8 = 5;

/// The queue of frames that are sent.
const SENT: u16 = 1;

/// A card.
pub struct Card {
    device: u32,
    /// The offsets of both structures in the card's range, the distance of notifications, and the offset of the window to all
    /// of it.
    common: u32,
    notify: u32,
    distance: u32,
    window: u8,
}

fn port_write(port: u16, value: u32) {
    // SAFETY: damage is this module's purpose, and whoever loads it contains it. The ports are those of configuration space.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags)) };
}

fn port_read(port: u16) -> u32 {
    let value;
    // SAFETY: as above.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack, preserves_flags)) };
    value
}

fn read(device: u32, register: u8) -> u32 {
    port_write(ADDRESS, 1 << 31 | device << 11 | u32::from(register & 0xfc));
    port_read(DATA)
}

fn write(device: u32, register: u8, value: u32) {
    port_write(ADDRESS, 1 << 31 | device << 11 | u32::from(register & 0xfc));
    port_write(DATA, value);
}

impl Card {
    /// Finds the first one on the root bus.
    pub fn find() -> Option<Card> {
        let device = (0..32).find(|device| read(*device, 0) == NETWORK_CARD)?;
        let mut card = Card { device, common: 0, notify: 0, distance: 0, window: 0 };
        let mut next = read(device, FIRST) as u8;
        for _ in 0..48 {
            let [id, following, _, kind] = read(device, next).to_le_bytes();
            let word = |offset| read(device, next.wrapping_add(offset));
            match (id, kind) {
                (VENDOR, COMMON) => card.common = word(8),
                (VENDOR, NOTIFY) => (card.notify, card.distance) = (word(8), word(16)),
                (VENDOR, ACCESS) => card.window = next,
                _ => {}
            }
            if following == 0 {
                break;
            }
            next = following;
        }
        (card.window != 0).then_some(card)
    }

    /// Makes it send the first frame of a queue by the addresses of its parts.
    pub fn send(&self, parts: [u64; 3]) {
        write(self.device, COMMAND, read(self.device, COMMAND) & 0xffff | BUS_MASTER);
        // The steps of 3.1.1: the status, the features of version 1 and of an IOMMU's addresses, the queue.
        [0, 1, 3].into_iter().for_each(|status| self.set(20, 1, status));
        self.set(0, 4, 1);
        let offered = self.get(4, 4);
        for (half, features) in [(0, 0), (1, offered & 3)] {
            self.set(8, 4, half);
            self.set(12, 4, features);
        }
        self.set(20, 1, 11);
        self.set(22, 2, SENT.into());
        self.set(24, 2, 1);
        for (part, register) in parts.into_iter().zip([32, 40, 48]) {
            self.set(register, 4, part as u32);
            self.set(register + 4, 4, (part >> 32) as u32);
        }
        self.set(28, 2, 1);
        self.set(20, 1, 15);
        let place = self.notify + self.get(30, 2) * self.distance;
        self.aim(place, 2);
        write(self.device, self.window + 16, SENT.into());
    }

    /// Resets it, and lets it use no memory.
    pub fn reset(&self) {
        self.set(20, 1, 0);
        write(self.device, COMMAND, read(self.device, COMMAND) & 0xffff & !BUS_MASTER);
    }

    /// Aims the window at a register.
    fn aim(&self, offset: u32, length: u32) {
        write(self.device, self.window + 8, offset);
        write(self.device, self.window + 12, length);
    }

    /// Writes a register of the common configuration.
    fn set(&self, offset: u32, length: u32, value: u32) {
        self.aim(self.common + offset, length);
        write(self.device, self.window + 16, value);
    }

    /// Reads one.
    fn get(&self, offset: u32, length: u32) -> u32 {
        self.aim(self.common + offset, length);
        read(self.device, self.window + 16) & (u32::MAX >> (32 - 8 * length))
    }
}
