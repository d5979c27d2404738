//! The watchdog: a thread that looks from time to time at the calls under way
//! in the kernel domain, and sends a signal to those whose time is over.
//!
//! A call does no more for it than to write its budget down.

pub(crate) mod budgets;

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::activation::Activation;
use crate::stopwatch::{self, RunClock, Stopwatch};
use budgets::Budget;

/// The signal a late call gets.
pub(crate) const SIGNAL: libc::c_int = libc::SIGVTALRM;

/// How often the watchdog looks, in microseconds: four times in the smallest budget, within these.
const TICK_RANGE_US: (u64, u64) = (1_000, 50_000);

/// So many times the watchdog looks before it forgets a budget that no image has: to wake it takes longer than a load.
const IDLE_CHECKS: u32 = 100;

/// Calls inside of each other whose time is known: twice as many as modules can bring about, since a call
/// that waits for another one counts as one more.
const DEPTH: usize = 4 * bareflow_loader::MAX_DEPTH;

/// Where a mark begins, in bits.
const MARK_SHIFT: u32 = 32;

/// What the watchdog sees of a thread. It is never freed, so that a signal that
/// comes when the thread is at its end finds it, too.
#[derive(Debug)]
pub(crate) struct WatchSlot {
    /// Whether there is a thread it is for.
    taken: AtomicBool,
    /// The activation of the outermost call, under way or not; null before the first.
    activation: AtomicPtr<Activation>,
    /// The budget, in microseconds, of the innermost call or, without one, the last.
    /// The watchdog adds a mark in the upper half, which the next call overwrites.
    call: AtomicU64,
    /// The call whose time is over.
    overdue: AtomicU64,
    /// Nanoseconds that modules took which the innermost call called: as they passed, and as this thread ran them.
    inner: [AtomicU64; 2],
}

/// What the watchdog knows of a call that waits for another module.
pub(crate) struct PausedCall {
    call: u64,
    inner: [u64; 2],
    since: [Duration; 2],
}

/// The budget of nobody, in microseconds: more than an hour.
const NO_BUDGET_US: u64 = u32::MAX as u64;

impl WatchSlot {
    /// One that nobody looks at.
    pub const fn unused() -> WatchSlot {
        WatchSlot {
            taken: AtomicBool::new(false),
            activation: AtomicPtr::new(null_mut()),
            call: AtomicU64::new(0),
            overdue: AtomicU64::new(0),
            inner: [const { AtomicU64::new(0) }; 2],
        }
    }

    /// That of this thread.
    pub fn of_thread() -> &'static WatchSlot {
        SLOT.with(|own| own.watch_slot)
    }

    /// Notes whose calls are watched from now on.
    pub fn watch(&self, activation: *mut Activation) {
        self.activation.store(activation, Ordering::Release);
    }

    /// Notes that an activation is about to go.
    pub fn forget(&self, activation: *mut Activation) {
        // The watchdog looks at activations only while it has the list.
        let _list = list();
        if self.activation.load(Ordering::Relaxed) == activation {
            self.activation.store(null_mut(), Ordering::Relaxed);
        }
    }

    /// Notes that a call begins.
    #[inline(always)]
    pub fn begin(&self, budget_us: u32) {
        self.call.store(budget_us.into(), Ordering::Relaxed);
    }

    /// Notes that a call goes on which another one was inside of.
    #[cold]
    pub fn go_on(&self, call: u64) {
        self.call.store(call, Ordering::Relaxed);
    }

    /// Notes that the call under way waits for another module, whose time is none of its own.
    #[cold]
    pub fn pause(&self) -> PausedCall {
        let call = self.call.swap(NO_BUDGET_US, Ordering::AcqRel);
        let inner = [0, 1].map(|index: usize| self.inner[index].swap(0, Ordering::Relaxed));
        PausedCall { call, inner, since: stopwatch::now() }
    }

    /// Notes that it goes on. Returns how long that took: as it passed, and as this thread ran it.
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

    /// What is to be left out of the time of the call under way.
    fn inner(&self) -> [Duration; 2] {
        [0, 1].map(|index: usize| Duration::from_nanos(self.inner[index].load(Ordering::Acquire)))
    }

    /// The call under way.
    pub fn call(&self) -> u64 {
        self.call.load(Ordering::Acquire)
    }

    /// Whether the time of the call under way is over.
    pub fn is_overdue(&self) -> bool {
        let call = self.call();
        call >> MARK_SHIFT != 0 && self.overdue.load(Ordering::Relaxed) == call
    }
}

/// A thread's entry in the watchdog's list, as long as there is the thread.
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
        // SAFETY: takes nothing and always succeeds.
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
    /// The budgets of the images loaded, or that were loaded not long ago, and how often they were found to be unused.
    budgets: Vec<(Arc<Budget>, u32)>,
    runs: bool,
}

struct ThreadEntry {
    watch_slot: &'static WatchSlot,
    id: libc::pid_t,
    /// Calls that were marked, the innermost last.
    seen: Vec<(u64, Stopwatch, [Duration; 2])>,
    marks: u32,
}

static LIST: Mutex<List> = Mutex::new(List { threads: Vec::new(), budgets: Vec::new(), runs: false });

/// What was added.
fn elapsed([passed, ran]: [Duration; 2], before: [Duration; 2]) -> [Duration; 2] {
    [passed.saturating_sub(before[0]), ran.saturating_sub(before[1])]
}

/// Tells the watchdog that there are other budgets.
static NEWS: Condvar = Condvar::new();

fn list() -> MutexGuard<'static, List> {
    LIST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the watchdog does.
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
        // SAFETY: an activation that is there goes only when it is noted nowhere, for which the list is
        // locked. Of all of it only a word that is written whole is read.
        let calls = unsafe { activation.as_ref() }.is_some_and(Activation::is_under_way);
        if !calls {
            self.seen.clear();
            return;
        }
        let call = self.watch_slot.call();
        // Calls that were inside of this one have ended.
        while self.seen.last().is_some_and(|(last, ..)| last >> MARK_SHIFT > call >> MARK_SHIFT)
            && call >> MARK_SHIFT != 0
        {
            self.seen.pop();
        }
        match self.seen.last() {
            Some((last, time, before)) if *last == call => {
                let inner = self.watch_slot.inner();
                // One that waits meanwhile has other figures.
                if time.left_without(elapsed(inner, *before)).is_none() && self.watch_slot.call() == call {
                    self.watch_slot.overdue.store(call, Ordering::Relaxed);
                    // SAFETY: a signal to a thread of this process that is there.
                    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), self.id, SIGNAL) };
                }
            }
            _ => self.mark(call),
        }
    }

    /// Marks a call that is new.
    fn mark(&mut self, call: u64) {
        self.marks = self.marks.wrapping_add(1).max(1);
        let (budget, inner) = (call as u32, self.watch_slot.inner());
        let marked = u64::from(self.marks) << MARK_SHIFT | u64::from(budget);
        // One that another has followed meanwhile is left alone.
        if self.watch_slot.call.compare_exchange(call, marked, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            // The last one may have ended long since; the first ones have not.
            self.seen.truncate(DEPTH - 1);
            let time = Stopwatch::start(RunClock::of_thread(self.id), budget);
            self.seen.push((marked, time, inner));
        }
    }
}
