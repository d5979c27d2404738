//! Interrupts of devices: a vector for each that is open. Nothing of a module runs in a handler, which masks the device's
//! interrupt and takes note of it; the module unmasks it.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use bareflow_containment::timer::{FIRST_DEVICE, LAST_DEVICE, count_unasked, unasked};
use bareflow_suite::console::Style;

use crate::console;

/// The number of vectors.
pub const SLOTS: usize = (LAST_DEVICE - FIRST_DEVICE + 1) as usize;

/// A register by which a device's interrupt is masked, and what is written to it.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    register: u64,
    masked: u32,
    open: u32,
}

impl Gate {
    /// Takes the address of the register, the value that masks the interrupt, and the one that lets it come.
    ///
    /// # Safety
    /// The register is mapped, for good, and both values do nothing else.
    pub const unsafe fn new(register: u64, masked: u32, open: u32) -> Gate {
        Gate { register, masked, open }
    }

    /// Keeps the interrupt back.
    pub fn mask(self) {
        // SAFETY: the caller of `new` promised that this does nothing else.
        unsafe { (self.register as *mut u32).write_volatile(self.masked) };
    }

    /// Lets the interrupt come.
    pub fn open(self) {
        // SAFETY: as above.
        unsafe { (self.register as *mut u32).write_volatile(self.open) };
    }
}

/// A vector's device, and where its interrupt is masked.
struct Slot {
    /// The address of the register; 0 for none.
    register: AtomicU64,
    /// The value that masks it.
    masked: AtomicU32,
    device: AtomicU32,
    /// Whether an interrupt may be on its way that the last device sent before it was closed.
    is_late: AtomicBool,
    /// Whether an interrupt is lost while it is masked. Then the first one after each `listen` counts, and only the next one masks.
    loses: AtomicBool,
    is_first: AtomicBool,
    /// Whether it was masked by one since.
    is_masked: AtomicBool,
}

impl Slot {
    /// Returns a slot that no device has.
    const fn free() -> Slot {
        Slot {
            register: AtomicU64::new(0),
            masked: AtomicU32::new(0),
            device: AtomicU32::new(0),
            is_late: AtomicBool::new(false),
            loses: AtomicBool::new(false),
            is_first: AtomicBool::new(false),
            is_masked: AtomicBool::new(false),
        }
    }

    /// Makes the device's event due.
    fn notice(&self) {
        PENDING.fetch_or(1 << self.device.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

static ALL: [Slot; SLOTS] = [const { Slot::free() }; SLOTS];

/// The devices that sent interrupts: a bit for each.
static PENDING: AtomicU64 = AtomicU64::new(0);

/// The devices that send none, and are looked at with the next tick.
static POLLED: AtomicU64 = AtomicU64::new(0);

/// The number of interrupts that came unasked when it was last told.
static TOLD: AtomicU64 = AtomicU64::new(0);

/// Takes an interrupt. One of a vector that no device has is counted.
pub fn take(vector: u8) {
    let Some(slot) = ALL.get(usize::from(vector).wrapping_sub(FIRST_DEVICE as usize)) else { return };
    let register = slot.register.load(Ordering::Relaxed);
    if register != 0 {
        let loses = slot.loses.load(Ordering::Relaxed);
        if loses && slot.is_first.swap(false, Ordering::Relaxed) {
            return slot.notice();
        }
        let masked = slot.masked.load(Ordering::Relaxed);
        // SAFETY: `set` stored what a `Gate` has, which only masks.
        unsafe { (register as *mut u32).write_volatile(masked) };
        if loses { slot.is_masked.store(true, Ordering::Relaxed) } else { slot.notice() }
    } else if !slot.is_late.swap(false, Ordering::Relaxed) {
        count_unasked();
    }
}

/// Says how many interrupts came unasked, each time that there are twice as many as before.
pub fn tell_unasked() {
    let (count, told) = (unasked(), TOLD.load(Ordering::Relaxed));
    if count > 0 && count >= told.saturating_mul(2) {
        TOLD.store(count, Ordering::Relaxed);
        console::show(
            Style::Warning,
            format_args!(
                "[WARN] {count} interrupts came that no device was to send: code in ring 0 or a device sends them\n"
            ),
        );
    }
}

/// Takes a tick.
pub fn tick() {
    if POLLED.load(Ordering::Relaxed) != 0 {
        PENDING.fetch_or(POLLED.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Returns whether devices sent interrupts that no one took note of.
pub fn are_pending() -> bool {
    PENDING.load(Ordering::Relaxed) != 0
}

/// Takes the devices that sent interrupts.
pub fn take_pending() -> u64 {
    PENDING.swap(0, Ordering::Relaxed)
}

/// Lets a device that sends none be looked at with the next tick.
pub fn poll(device: u32) {
    POLLED.fetch_or(1 << device, Ordering::Relaxed);
}

/// Forgets what a device sent.
pub fn forget(device: u32) {
    POLLED.fetch_and(!(1 << device), Ordering::Relaxed);
    PENDING.fetch_and(!(1 << device), Ordering::Relaxed);
}

/// Gives the vector of a slot to a device, whose interrupt is masked by `gate`. `loses`: whether it is lost then.
pub fn set(slot: usize, device: u32, gate: Gate, loses: bool) {
    let Some(own) = ALL.get(slot) else { return };
    own.device.store(device, Ordering::Relaxed);
    own.masked.store(gate.masked, Ordering::Relaxed);
    own.loses.store(loses, Ordering::Relaxed);
    own.is_first.store(false, Ordering::Relaxed);
    own.is_masked.store(true, Ordering::Relaxed);
    own.register.store(gate.register, Ordering::Relaxed);
}

/// Lets the next interrupt of a slot's device come. If one may have been lost, the event is due.
pub fn listen(slot: usize, gate: Gate) {
    let Some(own) = ALL.get(slot) else { return };
    if !own.loses.load(Ordering::Relaxed) {
        return gate.open();
    }
    own.is_first.store(true, Ordering::Relaxed);
    if own.is_masked.swap(false, Ordering::Relaxed) {
        gate.open();
        own.notice();
    }
}

/// Takes a slot's vector from its device, which sends no interrupts any more.
pub fn clear(slot: usize) {
    if let Some(slot) = ALL.get(slot) {
        slot.is_late.store(slot.register.load(Ordering::Relaxed) != 0, Ordering::Relaxed);
        slot.register.store(0, Ordering::Relaxed);
    }
}
