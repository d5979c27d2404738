//! Interrupts of devices: a vector for each that is open. Nothing of a module runs in a handler, which masks the device's
//! interrupt and takes note of it; the module unmasks it.

use core::arch::x86_64::__cpuid;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use bareflow_containment::timer::{FIRST_DEVICE, LAST_DEVICE, count_unasked, unasked};
use bareflow_devices::Registers;
use bareflow_devices::pci::ENTRY_SIZE;
use bareflow_suite::console::Style;

use super::window::Window;
use crate::console;

/// The number of vectors.
pub const SLOTS: usize = (LAST_DEVICE - FIRST_DEVICE + 1) as usize;

/// The address to which messages are written that interrupt a processor (Intel SDM volume 3, 11.11.1).
const MESSAGES: u32 = 0xfee0_0000;

/// The offsets in an entry of the table of interrupts, and the bit that masks it (PCI 3.0, 6.8.2).
const ADDRESS: u64 = 0;
const ADDRESS_HIGH: u64 = 4;
const DATA: u64 = 8;
const CONTROL: u64 = 12;
const MASKED: u32 = 1;

/// A vector's device, and where its interrupt is masked.
struct Slot {
    /// The address of the register; 0 for none.
    control: AtomicU64,
    device: AtomicU32,
    /// Whether an interrupt may be on its way that the last device sent before it was closed.
    is_late: AtomicBool,
}

static ALL: [Slot; SLOTS] =
    [const { Slot { control: AtomicU64::new(0), device: AtomicU32::new(0), is_late: AtomicBool::new(false) } }; SLOTS];

/// The devices that sent interrupts: a bit for each.
static PENDING: AtomicU64 = AtomicU64::new(0);

/// The devices that send none, and are looked at with the next tick.
static POLLED: AtomicU64 = AtomicU64::new(0);

/// The number of interrupts that came unasked when it was last told.
static TOLD: AtomicU64 = AtomicU64::new(0);

/// Takes an interrupt. One of a vector that no device has is counted.
pub fn take(vector: u8) {
    let Some(slot) = ALL.get(usize::from(vector).wrapping_sub(FIRST_DEVICE as usize)) else { return };
    let control = slot.control.load(Ordering::Relaxed);
    if control != 0 {
        // SAFETY: `set` stored the address of a register, whose mapping is permanent.
        unsafe { (control as *mut u32).write_volatile(MASKED) };
        PENDING.fetch_or(1 << slot.device.load(Ordering::Relaxed), Ordering::Relaxed);
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

/// Gives the first entry of a device's table the vector of a slot. All entries are masked from then on.
pub fn set(slot: usize, device: u32, table: Window) {
    let Some(own) = ALL.get(slot) else { return };
    let controls = (CONTROL..table.length()).step_by(ENTRY_SIZE as usize);
    controls.for_each(|control| table.write_u32(control, MASKED));
    // Bits 24 to 31 are the number of this processor's interrupt controller (Intel SDM volume 2, CPUID).
    let processor = __cpuid(1).ebx >> 24;
    table.write_u32(ADDRESS, MESSAGES | processor << 12);
    table.write_u32(ADDRESS_HIGH, 0);
    table.write_u32(DATA, FIRST_DEVICE as u32 + slot as u32);
    own.device.store(device, Ordering::Relaxed);
    own.control.store(table.address(CONTROL), Ordering::Relaxed);
}

/// Takes a slot's vector from its device, which sends no interrupts any more.
pub fn clear(slot: usize) {
    if let Some(slot) = ALL.get(slot) {
        slot.is_late.store(slot.control.load(Ordering::Relaxed) != 0, Ordering::Relaxed);
        slot.control.store(0, Ordering::Relaxed);
    }
}

/// Unmasks or masks the interrupt of a table's first entry.
pub fn mask(table: Window, is_masked: bool) {
    table.write_u32(CONTROL, if is_masked { MASKED } else { 0 });
}
