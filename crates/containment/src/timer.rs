//! The local APIC's timer (Intel SDM volume 3, chapter 11): a tick each millisecond, which ends calls that run
//! too long.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use x86_64::instructions::port::Port;
use x86_64::registers::control::Cr8;
use x86_64::registers::model_specific::Msr;

use crate::kernel::Ticks;
use crate::layout::LOCAL_APIC;
use crate::memory::page_tables::map_device;

/// The time between two ticks, in microseconds.
pub const TICK_US: u32 = 1000;

/// The vector of the tick.
pub const TICK: u64 = 32;

/// The first vector of devices.
pub const FIRST_DEVICE: u64 = 33;

/// The last one.
pub const LAST_DEVICE: u64 = 46;

/// The vector of spurious interrupts. Its low four bits are set, as older processors require.
pub const SPURIOUS: u64 = 47;

/// The first vector that nothing uses; neither is any behind it.
pub const FIRST_UNUSED: u64 = 48;

/// The register with the address of the APIC's registers, and its bits (Intel SDM volume 3, 11.4.4 and 11.12.1).
const IA32_APIC_BASE: u32 = 0x1b;
const APIC_ENABLED: u64 = 1 << 11;
const X2APIC_MODE: u64 = 1 << 10;
const BASE_ADDRESS: u64 = 0xf_ffff_f000;

/// The offsets of registers (Intel SDM volume 3, table 11-1).
const EOI: u64 = 0xb0;
const SPURIOUS_VECTOR: u64 = 0xf0;
/// The in-service registers: a bit for each vector whose interrupt was delivered and has not ended, 32 in each of
/// eight.
const IN_SERVICE: u64 = 0x100;
const IN_SERVICE_DISTANCE: u64 = 0x10;
const LVT_TIMER: u64 = 0x320;
const LVT_LINT0: u64 = 0x350;
const LVT_LINT1: u64 = 0x360;
const INITIAL_COUNT: u64 = 0x380;
const CURRENT_COUNT: u64 = 0x390;
const DIVIDE_CONFIGURATION: u64 = 0x3e0;

const ENABLED: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;
const PERIODIC: u32 = 1 << 17;
const DELIVER_NMI: u32 = 4 << 8;
const DIVIDE_BY_1: u32 = 0xb;

/// The frequency of the interval timer's second channel (Intel 8254 data sheet), and the number of its ticks in one
/// measurement: a quarter of a millisecond.
const PIT_HZ: u64 = 1_193_182;
const PIT_COUNT: u16 = 298;

/// The number of reads of its output after which it is given up.
const SPIN_LIMIT: u32 = 1_000_000;

/// The timer's assumed frequency where it can't be measured: the usual one of emulators.
const USUAL_HZ: u64 = 1_000_000_000;

/// Whether the registers are mapped. They stay so.
static MAPPED: AtomicBool = AtomicBool::new(false);

/// The ticks since the start.
static TICKS: AtomicU64 = AtomicU64::new(0);

/// The interrupts that came unasked.
static UNASKED: AtomicU64 = AtomicU64::new(0);

/// Returns the number of ticks that a call of `time_us` microseconds may see. It may begin right before a tick.
pub const fn ticks_of(time_us: u32) -> u32 {
    time_us.div_ceil(TICK_US)
}

/// The local APIC, whose timer is a source of ticks.
#[derive(Debug)]
pub struct LocalApic;

impl Ticks for LocalApic {
    fn start(&self) -> bool {
        start()
    }

    fn is_in_service(&self) -> bool {
        // `int` sets no such bit (Intel SDM volume 3, 11.8.4).
        self.is_vector_in_service(TICK as u8)
    }

    fn is_vector_in_service(&self, vector: u8) -> bool {
        let vector = u64::from(vector);
        read(IN_SERVICE + vector / 32 * IN_SERVICE_DISTANCE) >> (vector % 32) & 1 != 0
    }

    fn end_of_interrupt(&self) {
        write(EOI, 0);
    }
}

/// Starts the ticks, and returns whether there are any.
fn start() -> bool {
    // SAFETY: every x86-64 processor has this register; reading it has no effect.
    let base = unsafe { Msr::new(IA32_APIC_BASE).read() };
    // A boot loader may have left the registers where they can't be mapped.
    if base & APIC_ENABLED == 0 || base & X2APIC_MODE != 0 {
        return false;
    }
    // SAFETY: the processor says that its registers are there, and the page is theirs.
    if unsafe { map_device(LOCAL_APIC, base & BASE_ADDRESS) }.is_err() {
        return false;
    }
    MAPPED.store(true, Ordering::Relaxed);
    write(SPURIOUS_VECTOR, ENABLED | SPURIOUS as u32);
    write(LVT_LINT0, MASKED);
    write(LVT_LINT1, DELIVER_NMI);
    write(DIVIDE_CONFIGURATION, DIVIDE_BY_1);
    write(LVT_TIMER, MASKED);
    let count = hertz() * u64::from(TICK_US) / 1_000_000;
    tick_each(count);
    true
}

/// Ticks once, after `counts` counts.
pub fn tick_once_after(counts: u64) {
    arm(0, counts);
}

/// Ticks each time `counts` counts have passed.
pub fn tick_each(counts: u64) {
    arm(PERIODIC, counts);
}

fn arm(mode: u32, counts: u64) {
    write(LVT_TIMER, mode | TICK as u32);
    write(INITIAL_COUNT, u32::try_from(counts).unwrap_or(u32::MAX).max(1));
}

/// Stops the ticks.
pub fn stop() {
    write(LVT_TIMER, MASKED);
    write(INITIAL_COUNT, 0);
}

/// Starts to count without ticks.
pub fn start_counting() {
    write(LVT_TIMER, MASKED);
    write(INITIAL_COUNT, u32::MAX);
}

/// Returns the counts since [`start_counting`].
pub fn counted() -> u64 {
    u64::from(u32::MAX - read(CURRENT_COUNT))
}

/// Returns the milliseconds since the start; they stand still where there are no ticks.
pub fn milliseconds() -> u64 {
    // The caller may wait for the ticks, so they must not be masked, as a module of the kernel domain may have left them.
    Cr8::write(None);
    TICKS.load(Ordering::Relaxed) * u64::from(TICK_US) / 1000
}

/// Returns the microseconds since the start, as far as ticks were counted.
pub fn microseconds() -> u64 {
    TICKS.load(Ordering::Relaxed) * u64::from(TICK_US)
}

/// Counts an interrupt that nothing was to send: of a vector that nothing uses, or of a device's that no device has.
pub fn count_unasked() {
    UNASKED.fetch_add(1, Ordering::Relaxed);
}

/// Returns the number of interrupts that came unasked.
pub fn unasked() -> u64 {
    UNASKED.load(Ordering::Relaxed)
}

/// Counts a tick.
pub(crate) fn count_tick() {
    TICKS.fetch_add(1, Ordering::Relaxed);
}

/// Returns the timer's frequency, in Hz. The least of three measurements is used: one can only be too long, when the
/// machine is interrupted during it.
fn hertz() -> u64 {
    let counted = (0..3).filter_map(|_| count_one_interval()).min();
    counted.map_or(USUAL_HZ, |count| count * PIT_HZ / u64::from(PIT_COUNT)).max(u64::from(TICK_US))
}

/// Returns the timer's counts in one interval; `None` where there is nothing to measure by.
fn count_one_interval() -> Option<u64> {
    let (mut gate, mut command, mut data) = (Port::<u8>::new(0x61), Port::<u8>::new(0x43), Port::<u8>::new(0x42));
    // SAFETY: the ports are those of the interval timer and its gate, and only this code uses them; a machine without
    // them ignores the writes.
    let done = unsafe {
        let old = gate.read();
        // Turn the speaker off; lower the gate, and raise it when all is set.
        gate.write(old & !3);
        // Where there is no such port, as on microvm, all bits read as ones.
        if gate.read() & 3 != 0 {
            return None;
        }
        command.write(0xb0);
        let [low, high] = PIT_COUNT.to_le_bytes();
        data.write(low);
        data.write(high);
        write(INITIAL_COUNT, u32::MAX);
        gate.write(old & !3 | 1);
        (0..SPIN_LIMIT).any(|_| gate.read() & 0x20 != 0)
    };
    let left = read(CURRENT_COUNT);
    write(INITIAL_COUNT, 0);
    done.then_some(u64::from(u32::MAX - left)).filter(|&count| count > 0)
}

/// Writes a register; does nothing where there is no timer.
fn write(register: u64, value: u32) {
    if MAPPED.load(Ordering::Relaxed) {
        // SAFETY: `start` mapped the registers before it set the flag.
        unsafe { ((LOCAL_APIC + register) as *mut u32).write_volatile(value) }
    }
}

/// Reads a register; 0 where there is no timer.
fn read(register: u64) -> u32 {
    if !MAPPED.load(Ordering::Relaxed) {
        return 0;
    }
    // SAFETY: `start` mapped the registers before it set the flag; reading these has no effect.
    unsafe { ((LOCAL_APIC + register) as *const u32).read_volatile() }
}
