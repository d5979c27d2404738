//! The processor's debug registers, which nothing here uses. An armed register may be anyone's doing, so no module is
//! blamed for the exceptions it causes.

use core::arch::asm;

use x86_64::registers::debug::{Dr6, Dr6Flags};

/// The values of DR7 and DR6 after a reset (Intel SDM volume 3, table 10-1).
const DISARMED: u64 = 0x400;
const NOTHING_MET: u64 = 0xffff_0ff0;

/// Reads the cause of a debug exception, disarms all registers, and returns whether the cause was only an armed
/// register. In that case the interrupted code can go on: the same exception does not come again.
pub fn was_armed_register() -> bool {
    let met = Dr6::read();
    // SAFETY: nothing relies on either register.
    unsafe { asm!("mov dr7, {}", "mov dr6, {}", in(reg) DISARMED, in(reg) NOTHING_MET, options(nomem, nostack)) };
    met.intersects(Dr6Flags::TRAP | Dr6Flags::ACCESS_DETECTED) && !met.contains(Dr6Flags::STEP)
}
