//! The handoff between the two sides of a channel, and waiting for it.

use std::arch::x86_64::{__cpuid, __rdtscp};
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

use bareflow_runtime::clock;

use crate::seccomp;

/// The time to spin for one's turn before sleeping, in ticks: about as long as falling asleep and waking up takes.
const SPIN_TICKS: u64 = 50_000;

/// The two sides of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Parent = 0,
    Child = 1,
}

impl Peer {
    const fn other(self) -> Peer {
        match self {
            Peer::Parent => Peer::Child,
            Peer::Child => Peer::Parent,
        }
    }
}

/// The side whose turn it is; the parent's at first.
#[repr(C)]
pub(crate) struct Handoff {
    side: AtomicU32,
    /// Whether each side sleeps until it is its turn.
    asleep: [AtomicU32; 2],
    /// The processors that the sides last ran on.
    processors: [AtomicU32; 2],
}

impl Handoff {
    /// Returns the futex word on which the sides sleep.
    pub const fn word(&self) -> &AtomicU32 {
        &self.side
    }

    /// Whether it is the turn of `side`. If so, everything that the other side wrote before is visible.
    pub fn is(&self, side: Peer) -> bool {
        self.side.load(Ordering::Acquire) == side as u32
    }

    /// Hands the turn to `side`.
    pub fn hand_to(&self, side: Peer, spin_budget: SpinBudget) {
        if let SpinBudget(1..) = spin_budget {
            self.processors[side.other() as usize].store(processor(), Ordering::Relaxed);
        }
        self.side.store(side as u32, Ordering::Release);
        // The fence ensures that either this side sees that the other one sleeps, or the other one sees the new turn.
        fence(Ordering::SeqCst);
        if self.asleep[side as usize].load(Ordering::Relaxed) != 0 {
            seccomp::wake(&self.side);
        }
    }

    /// Spins for the turn of `side`, if it can come while this processor spins. Returns whether it came.
    pub fn spin(&self, side: Peer, SpinBudget(ticks): SpinBudget) -> bool {
        let other = || self.processors[side.other() as usize].load(Ordering::Relaxed);
        if self.is(side) || ticks == 0 || other() == processor() {
            return self.is(side);
        }
        let start = clock::now();
        while !self.is(side) {
            if clock::now().wrapping_sub(start) >= ticks {
                return false;
            }
            std::hint::spin_loop();
        }
        true
    }

    /// Sleeps until it may be the turn of `side`, at most for `longest`.
    pub fn sleep(&self, side: Peer, longest: Option<Duration>) {
        let asleep = &self.asleep[side as usize];
        asleep.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let turn = self.side.load(Ordering::Relaxed);
        if turn != side as u32 {
            let time = longest.map(|longest| libc::timespec {
                tv_sec: longest.as_secs().cast_signed(),
                tv_nsec: longest.subsec_nanos().into(),
            });
            seccomp::sleep(&self.side, turn, time.as_ref());
        }
        asleep.store(0, Ordering::Relaxed);
    }
}

/// The time that it is worth spinning for one's turn, in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpinBudget(u64);

impl SpinBudget {
    /// Returns this process's budget: zero if both sides share one processor, or the processor's number is not
    /// available.
    pub fn of_process() -> SpinBudget {
        // SAFETY: all zeros are the empty set, which the system then fills in.
        let processors = unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            if libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) == 0 { libc::CPU_COUNT(&set) } else { 1 }
        };
        let tells = __cpuid(0x8000_0001).edx & HAS_RDTSCP != 0;
        SpinBudget(if processors > 1 && tells { SPIN_TICKS } else { 0 })
    }
}

/// The bit of leaf 0x8000_0001, EDX, for RDTSCP (Intel SDM volume 2, CPUID).
const HAS_RDTSCP: u32 = 1 << 27;

/// Returns the number of the processor that this side runs on. Requires RDTSCP.
fn processor() -> u32 {
    let mut number = 0;
    // SAFETY: callers have a spin budget, which is not zero only if the processor has the instruction.
    unsafe { __rdtscp(&raw mut number) };
    number
}
