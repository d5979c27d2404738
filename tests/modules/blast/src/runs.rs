//! Runs that are timed.

use core::arch::x86_64::_rdtsc;
use core::hint::spin_loop;

use bareflow_nic::NicError;

/// The number of runs of which the fastest counts, and the most that are made for them.
const RUNS: usize = 17;
const MOST_RUNS: usize = 200;

/// The times that a card is looked at until it is done.
const LOOKS: usize = 100_000;

/// Waits until `work` was done `count` times.
pub fn wait(count: usize, mut work: impl FnMut(usize) -> Result<usize, NicError>) -> Result<(), NicError> {
    let mut done = 0;
    for _ in 0..LOOKS {
        done += work(count)?;
        if done == count {
            return Ok(());
        }
        pause();
    }
    Err(NicError::Failed)
}

/// Lets the other end of the wire work.
pub fn pause() {
    (0..1000).for_each(|_| spin_loop());
}

/// Returns the ticks since some time.
pub fn now() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and the kernel admits it in ring 3.
    unsafe { _rdtsc() }
}

/// Returns the ticks that `work` takes, and its result.
pub fn ticks<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<(u64, T), E> {
    let start = now();
    let done = work()?;
    let end = now();
    Ok(((end - start).saturating_sub(now() - end), done))
}

/// Returns the fewest ticks of runs that say theirs.
pub fn fewest<E: From<NicError>>(mut run: impl FnMut() -> Result<Option<u64>, E>) -> Result<u64, E> {
    let (mut fewest, mut runs) = (u64::MAX, 0);
    for _ in 0..MOST_RUNS {
        if let Some(ticks) = run()? {
            (fewest, runs) = (fewest.min(ticks), runs + 1);
            if runs == RUNS {
                return Ok(fewest);
            }
        }
    }
    Err(NicError::Failed.into())
}
