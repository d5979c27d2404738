//! Makes virtio's network card read and write memory that no driver gave it, as a card that lies would do: from ring 0 and by
//! ports alone, it gives the card a queue of its own, at the physical addresses of this module's memory.
//!
//! Returns 1 if the card wrote there, and 0 if it did not.

#![no_std]

mod card;
mod pages;

use core::hint::spin_loop;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};

use bareflow_abi::Context;

use self::card::Card;

bareflow_abi::module!(stray);

/// The results if there is no card, and if the memory has no address.
const NO_CARD: i32 = -1;
const NO_ADDRESS: i32 = -2;

/// The times that the memory is looked at: a tenth of a second and more.
const LOOKS: u32 = 2_000_000;

/// The bytes of the frame, with its header.
const FRAME_BYTES: u32 = 76;

/// A page with a queue of one descriptor (2.7 of virtio's specification), and the frame that it names.
#[repr(C, align(4096))]
struct Memory {
    address: AtomicU64,
    length: AtomicU32,
    flags: AtomicU32,
    available: [AtomicU16; 4],
    /// The device writes here that it sent the frame: its flags, and the number of chains.
    used: [AtomicU16; 6],
    frame: [AtomicU32; 32],
}

static MEMORY: Memory = Memory {
    address: AtomicU64::new(0),
    length: AtomicU32::new(FRAME_BYTES),
    flags: AtomicU32::new(0),
    // The flags: it wants no interrupts. The number of chains, and the first of them.
    available: [AtomicU16::new(1), AtomicU16::new(1), AtomicU16::new(0), AtomicU16::new(0)],
    used: [const { AtomicU16::new(0) }; 6],
    frame: [const { AtomicU32::new(0) }; 32],
};

fn stray(_: &mut Context<'_>) -> i32 {
    let Some(card) = Card::find() else { return NO_CARD };
    let place = |start: *const u8| pages::physical(start as u64);
    let parts = [(&raw const MEMORY).cast(), MEMORY.available.as_ptr().cast(), MEMORY.used.as_ptr().cast()];
    let ([Some(queue), Some(available), Some(used)], Some(frame)) =
        (parts.map(place), place(MEMORY.frame.as_ptr().cast()))
    else {
        return NO_ADDRESS;
    };
    MEMORY.address.store(frame, Ordering::SeqCst);
    MEMORY.used[1].store(0, Ordering::SeqCst);
    card.send([queue, available, used]);
    let wrote = (0..LOOKS).any(|_| {
        spin_loop();
        MEMORY.used[1].load(Ordering::SeqCst) != 0
    });
    card.reset();
    wrote.into()
}
