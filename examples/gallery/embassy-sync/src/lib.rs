//! Passes bytes through a channel between tasks, and counts those that do not fit, under a mutex.

#![no_std]
#![forbid(unsafe_code)]

use core::cell::Cell;

use bareflow_abi::Context;
use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::channel::Channel;

bareflow_abi::module!(run);

static BYTES: Channel<CriticalSectionRawMutex, u8, 8> = Channel::new();
static REFUSED: Mutex<CriticalSectionRawMutex, Cell<i32>> = Mutex::new(Cell::new(0));

/// Sends the input byte by byte, then receives and writes the bytes in the channel. Returns the number of rejected
/// bytes.
pub fn run(context: &mut Context<'_>) -> i32 {
    REFUSED.lock(|count| count.set(0));
    for byte in context.input() {
        if BYTES.try_send(*byte).is_err() {
            REFUSED.lock(|count| count.set(count.get() + 1));
        }
    }
    while let Ok(byte) = BYTES.try_receive() {
        context.write(&[byte]);
    }
    REFUSED.lock(Cell::get)
}
