//! The watchdog: a thread that regularly checks the running calls in the kernel domain, and sends a signal to those
//! whose time is over.
//!
//! All that a call does for it is to store its budget.

pub(crate) mod budgets;

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::stopwatch::{self, RunClock, Stopwatch};
use budgets::Budget;

/// The signal for a call whose time is over.
pub(crate) const SIGNAL: libc::c_int = libc::SIGVTALRM;

/// The limits of the watchdog's interval, in microseconds; it is a quarter of the smallest budget.
const TICK_RANGE_US: (u64, u64) = (1_000, 50_000);

/// The number of checks after which the watchdog drops a budget that no image has. Adding one again takes longer than a
/// load, so it is kept for a while.
const IDLE_CHECKS: u32 = 100;

/// The number of nested calls whose time is tracked: twice as many as modules can cause, since a call that waits for
/// another one counts as one more.
const DEPTH: usize = 4 * bareflow_loader::MAX_DEPTH;

/// The value of an activation's first word that is not its thread's current one; it is higher while a call is running.
pub(crate) const INACTIVE: u64 = 1;

/// The position of the mark in a call's word, in bits.
const MARK_SHIFT: u32 = 32;

/// The watchdog's view of a thread.
///
/// It is never freed, so a signal that arrives when the thread is ending can still use it.
#[derive(Debug)]
pub(crate) struct WatchSlot {
    /// Whether the slot belongs to a thread.
    taken: AtomicBool,
    /// The first word of the outermost call's activation, running or not; null before the first call.
    activation: AtomicPtr<AtomicU64>,
    /// The budget, in microseconds, of the innermost call, or of the last one if none is running.
    ///
    /// The watchdog adds a mark in the upper half, which the next call overwrites.
    call: AtomicU64,
    /// The call whose time is over.
    overdue: AtomicU64,
    /// The time that callees of the innermost call took, in nanoseconds: elapsed time, and this thread's CPU time.
    inner: [AtomicU64; 2],
}

/// The watchdog's data of a call that waits for another module.
pub(crate) struct PausedCall {
    call: u64,
    inner: [u64; 2],
    since: [Duration; 2],
}

/// The budget that stands for no call, in microseconds: more than an hour.
const NO_BUDGET_US: u64 = u32::MAX as u64;

impl WatchSlot {
    /// Returns a slot that is not watched.
    pub const fn unused() -> WatchSlot {
        WatchSlot {
            taken: AtomicBool::new(false),
            activation: AtomicPtr::new(null_mut()),
            call: AtomicU64::new(0),
            overdue: AtomicU64::new(0),
            inner: [const { AtomicU64::new(0) }; 2],
        }
    }

    /// Returns this thread's slot.
    pub fn of_thread() -> &'static WatchSlot {
        SLOT.with(|own| own.watch_slot)
    }

    /// Sets the activation, by its first word, whose calls are watched from now on.
    pub fn watch(&self, activation: *mut AtomicU64) {
        self.activation.store(activation, Ordering::Release);
    }

    /// Removes an activation that is about to be dropped.
    pub fn forget(&self, activation: *mut AtomicU64) {
        // The watchdog accesses activations only while it holds the list's lock.
        let _list = list();
        if self.activation.load(Ordering::Relaxed) == activation {
            self.activation.store(null_mut(), Ordering::Relaxed);
        }
    }

    /// Records the start of a call.
    #[inline(always)]
    pub fn begin(&self, budget_us: u32) {
        self.call.store(budget_us.into(), Ordering::Relaxed);
    }

    /// Records that a call continues after a nested one.
    #[cold]
    pub fn go_on(&self, call: u64) {
        self.call.store(call, Ordering::Relaxed);
    }

    /// Records that the running call waits for another module, whose time does not count for it.
    #[cold]
    pub fn pause(&self) -> PausedCall {
        let call = self.call.swap(NO_BUDGET_US, Ordering::AcqRel);
        let inner = [0, 1].map(|index: usize| self.inner[index].swap(0, Ordering::Relaxed));
        PausedCall { call, inner, since: stopwatch::now() }
    }

    /// Records that the call continues. Returns how long it waited: elapsed time, and this thread's CPU time.
    #[cold]
    pub fn resume(&self, PausedCall { call, inner, since }: PausedCall) -> [Duration; 2] {
        let took = elapsed(stopwatch::now(), since);
        for ((target, before), took) in self.inner.iter().zip(inner).zip(took) {
            let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            target.store(before.saturating_add(took), Ordering::Relaxed);
        }
        self.call.store(call, Ordering::Release);
        took
    }

    /// Returns the time that does not count for the running call.
    fn inner(&self) -> [Duration; 2] {
        [0, 1].map(|index: usize| Duration::from_nanos(self.inner[index].load(Ordering::Acquire)))
    }

    /// Returns the running call's word.
    pub fn call(&self) -> u64 {
        self.call.load(Ordering::Acquire)
    }

    /// Whether the running call's time is over.
    pub fn is_overdue(&self) -> bool {
        let call = self.call();
        call >> MARK_SHIFT != 0 && self.overdue.load(Ordering::Relaxed) == call
    }
}

/// A thread's entry in the watchdog's list, which is released when the thread ends.
struct SlotGuard {
    watch_slot: &'static WatchSlot,
}

thread_local! {
    static SLOT: SlotGuard = SlotGuard::enter();
}

impl SlotGuard {
    fn enter() -> SlotGuard {
        let mut list = list();
        let free = list.threads.iter_mut().find(|entry| !entry.watch_slot.taken.load(Ordering::Relaxed));
        // SAFETY: takes no arguments and always succeeds.
        let id = unsafe { libc::gettid() };
        let watch_slot = match free {
            Some(entry) => {
                entry.id = id;
                entry.watch_slot
            }
            None => {
                let watch_slot: &'static WatchSlot = Box::leak(Box::new(WatchSlot::unused()));
                list.threads.push(ThreadEntry { watch_slot, id, seen: Vec::new(), marks: 0 });
                watch_slot
            }
        };
        watch_slot.taken.store(true, Ordering::Relaxed);
        SlotGuard { watch_slot }
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.watch_slot.forget(self.watch_slot.activation.load(Ordering::Relaxed));
        self.watch_slot.taken.store(false, Ordering::Relaxed);
    }
}

struct List {
    threads: Vec<ThreadEntry>,
    /// The budgets of images that are loaded, or were until recently, with the number of checks that found them unused.
    budgets: Vec<(Arc<Budget>, u32)>,
    runs: bool,
}

struct ThreadEntry {
    watch_slot: &'static WatchSlot,
    id: libc::pid_t,
    /// The marked calls, innermost last.
    seen: Vec<(u64, Stopwatch, [Duration; 2])>,
    marks: u32,
}

static LIST: Mutex<List> = Mutex::new(List { threads: Vec::new(), budgets: Vec::new(), runs: false });

/// Returns the differences.
fn elapsed([passed, ran]: [Duration; 2], before: [Duration; 2]) -> [Duration; 2] {
    [passed.saturating_sub(before[0]), ran.saturating_sub(before[1])]
}

/// Signalled when there are new budgets.
static NEWS: Condvar = Condvar::new();

fn list() -> MutexGuard<'static, List> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the watchdog.
fn watch() {
    let mut list = list();
    loop {
        list.budgets.retain_mut(|(budget, unused)| {
            *unused = if budget.is_used() { 0 } else { *unused + 1 };
            *unused < IDLE_CHECKS
        });
        list = match list.budgets.iter().map(|(budget, _)| budget.time_us).min() {
            None => NEWS.wait(list).unwrap_or_else(PoisonError::into_inner),
            Some(time_us) => {
                let tick = Duration::from_micros((u64::from(time_us) / 4).clamp(TICK_RANGE_US.0, TICK_RANGE_US.1));
                NEWS.wait_timeout(list, tick).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        list.threads.iter_mut().for_each(ThreadEntry::check);
    }
}

impl ThreadEntry {
    fn check(&mut self) {
        let activation = self.watch_slot.activation.load(Ordering::Acquire);
        // SAFETY: an activation is dropped only after it has been removed from the slot, which requires the list's
        // lock. Only an atomic word of it is read.
        let calls = unsafe { activation.as_ref() }.is_some_and(|word| word.load(Ordering::Relaxed) > INACTIVE);
        if !calls {
            self.seen.clear();
            return;
        }
        let call = self.watch_slot.call();
        // Calls that were nested in this one have ended.
        while self.seen.last().is_some_and(|(last, ..)| last >> MARK_SHIFT > call >> MARK_SHIFT)
            && call >> MARK_SHIFT != 0
        {
            self.seen.pop();
        }
        match self.seen.last() {
            Some((last, time, before)) if *last == call => {
                let inner = self.watch_slot.inner();
                // If the call waits now, its word differs.
                if time.left_without(elapsed(inner, *before)).is_none() && self.watch_slot.call() == call {
                    self.watch_slot.overdue.store(call, Ordering::Relaxed);
                    // SAFETY: sends a signal to an existing thread of this process.
                    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), self.id, SIGNAL) };
                }
            }
            _ => self.mark(call),
        }
    }

    /// Marks a new call.
    fn mark(&mut self, call: u64) {
        self.marks = self.marks.wrapping_add(1).max(1);
        let (budget, inner) = (call as u32, self.watch_slot.inner());
        let marked = u64::from(self.marks) << MARK_SHIFT | u64::from(budget);
        // If another call has started in the meantime, it is not marked.
        if self.watch_slot.call.compare_exchange(call, marked, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            // The last entry may have ended long ago; the first ones have not.
            self.seen.truncate(DEPTH - 1);
            let time = Stopwatch::start(RunClock::of_thread(self.id), budget);
            self.seen.push((marked, time, inner));
        }
    }
}
