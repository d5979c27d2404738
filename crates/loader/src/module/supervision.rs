//! The supervision of a module that is restarted after a delay, or returns to the version that it replaced.

use core::cell::{Cell, RefCell};

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;

use crate::error::LoadError;
use crate::fault::Fault;
use crate::name::Version;
use crate::policy::{Backoff, FaultPolicy, LoadOptions};

/// The number of microseconds in a millisecond.
const US_PER_MS: u64 = 1000;

/// The step that a module waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A restart.
    Restart,
    /// The return to the version that it replaced.
    FallBack,
}

/// The version that a module replaced.
pub(crate) struct Previous<A: Allocator> {
    pub version: Version,
    pub options: LoadOptions,
    /// The lines that set its parameters and bind its imports, and the blob after them.
    bytes: Vec<u8, A>,
    lines: usize,
}

impl<A: Allocator> Previous<A> {
    /// Copies a version; `None` if there is no memory.
    pub fn new(version: Version, options: LoadOptions, lines: &str, blob: &[u8], allocator: A) -> Option<Self> {
        let mut bytes = Vec::new_in(allocator);
        bytes.try_reserve_exact(lines.len() + blob.len()).ok()?;
        bytes.extend_from_slice(lines.as_bytes());
        bytes.extend_from_slice(blob);
        Some(Previous { version, options, bytes, lines: lines.len() })
    }

    /// Returns the lines that set its parameters and bind its imports.
    pub fn lines(&self) -> &str {
        let lines = self.bytes.get(..self.lines).unwrap_or_default();
        // They were text when they were copied.
        core::str::from_utf8(lines).unwrap_or_default()
    }

    /// Returns the blob.
    pub fn blob(&self) -> &[u8] {
        self.bytes.get(self.lines..).unwrap_or_default()
    }
}

/// A return to an earlier version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FellBack {
    /// The version that faulted.
    pub from: Version,
    /// The last fault of that version.
    pub fault: Option<Fault>,
}

/// The record of a supervised module.
pub(crate) struct Supervision<A: Allocator> {
    /// The step that it waits for, and the time of it in microseconds.
    pub due: Cell<Option<(u64, Step)>>,
    /// The last delay, in microseconds; 0 before the first.
    delay_us: Cell<u64>,
    /// The times of the last restarts, in microseconds, each in place of the oldest one.
    restarts: RefCell<Vec<u64, A>>,
    /// The reason for which the last step failed.
    pub refusal: Cell<Option<LoadError>>,
    /// The version that it replaced, if it may return to that.
    pub previous: Cell<Option<Box<Previous<A>, A>>>,
    /// The reason for which it runs instead of a later version.
    pub fell_back: Cell<Option<FellBack>>,
}

impl<A: Allocator + Clone> Supervision<A> {
    /// Creates the record of a module with this policy; `None` if there is no memory.
    #[cold]
    pub fn new(policy: FaultPolicy, allocator: &A) -> Option<Box<Supervision<A>, A>> {
        let mut restarts = Vec::new_in(allocator.clone());
        restarts.try_reserve_exact(backoff_of(policy).restarts.into()).ok()?;
        let supervision = Supervision {
            due: Cell::new(None),
            delay_us: Cell::new(0),
            restarts: RefCell::new(restarts),
            refusal: Cell::new(None),
            previous: Cell::new(None),
            fell_back: Cell::new(None),
        };
        Box::try_new_in(supervision, allocator.clone()).ok()
    }
}

impl<A: Allocator> Supervision<A> {
    /// Returns the step after a fault at the time `now`, and the time of it; `None` if the module stays stopped.
    pub fn after_fault(&self, policy: FaultPolicy, now: u64) -> Option<(u64, Step)> {
        let backoff = backoff_of(policy);
        if matches!(policy, FaultPolicy::Backoff(_)) && self.restarts_within(policy, now) < backoff.restarts.into() {
            let window = u64::from(backoff.window_ms) * US_PER_MS;
            if !self.restarts.borrow().iter().any(|&restart| now.saturating_sub(restart) < window) {
                self.delay_us.set(0);
            }
            return Some((self.after_failure(policy, now), Step::Restart));
        }
        let previous = self.previous.take();
        let falls_back = policy.falls_back() && previous.is_some();
        self.previous.set(previous);
        falls_back.then_some((now, Step::FallBack))
    }

    /// Returns the time of the next try, which is one more delay from `now` on, and twice as long a delay as the last.
    pub fn after_failure(&self, policy: FaultPolicy, now: u64) -> u64 {
        let Backoff { first_ms, longest_ms, .. } = backoff_of(policy);
        let [first, longest] = [first_ms, longest_ms].map(|delay| u64::from(delay) * US_PER_MS);
        let delay = (2 * self.delay_us.get()).clamp(first, longest.max(first));
        self.delay_us.set(delay);
        now.saturating_add(delay)
    }

    /// Records a restart at the time `now`.
    pub fn note_restart(&self, now: u64) {
        let mut restarts = self.restarts.borrow_mut();
        if restarts.len() < restarts.capacity() {
            restarts.push(now);
        } else if let Some(oldest) = restarts.iter_mut().min() {
            *oldest = now;
        }
    }

    /// Forgets all restarts, as if the module had just been loaded.
    pub fn reset(&self) {
        self.due.set(None);
        self.delay_us.set(0);
        self.refusal.set(None);
        self.restarts.borrow_mut().clear();
    }

    /// Returns the number of restarts within the policy's window up to `now`.
    pub fn restarts_within(&self, policy: FaultPolicy, now: u64) -> u32 {
        let window = u64::from(backoff_of(policy).window_ms) * US_PER_MS;
        self.restarts.borrow().iter().filter(|&&restart| now.saturating_sub(restart) < window).count() as u32
    }

    /// Returns the version that it may return to.
    pub fn previous_version(&self) -> Option<Version> {
        let previous = self.previous.take();
        let version = previous.as_ref().map(|previous| previous.version);
        self.previous.set(previous);
        version
    }

    /// Returns the bytes of the loader's tables that the record uses.
    pub fn table_bytes(&self) -> u64 {
        let previous = self.previous.take();
        let kept = previous.as_ref().map_or(0, |previous| size_of::<Previous<A>>() + previous.bytes.len());
        self.previous.set(previous);
        (size_of::<Supervision<A>>() + self.restarts.borrow().capacity() * size_of::<u64>() + kept) as u64
    }
}

/// Returns the delays of a policy. Those of one that names none are for what is tried again for lack of memory.
const fn backoff_of(policy: FaultPolicy) -> Backoff {
    match policy {
        FaultPolicy::Backoff(backoff) => backoff,
        _ => Backoff::DEFAULT,
    }
}
