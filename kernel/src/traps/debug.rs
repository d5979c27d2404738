//! The processor's debug registers, which nothing here uses: whoever armed one, nobody is to be blamed for what it meets.

use core::arch::asm;

use x86_64::registers::debug::{Dr6, Dr6Flags};

/// What the two registers have after a reset (Intel SDM volume 3, table 10-1).
const DISARMED: u64 = 0x400;
const NOTHING_MET: u64 = 0xffff_0ff0;

/// Looks at what a debug exception met, disarms all, and says whether it was nothing but an armed register. Then what was
/// interrupted can go on: what was met is not met again.
pub fn was_armed_register() -> bool {
    let met = Dr6::read();
    // SAFETY: nothing relies on either register.
    unsafe { asm!("mov dr7, {}", "mov dr6, {}", in(reg) DISARMED, in(reg) NOTHING_MET, options(nomem, nostack)) };
    met.intersects(Dr6Flags::TRAP | Dr6Flags::ACCESS_DETECTED) && !met.contains(Dr6Flags::STEP)
}
