//! Waits for a device, none of which is without a limit.

use core::hint::spin_loop;

/// A clock, and the time for which a device is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Returns the time. It goes on whatever is masked.
    pub now: fn() -> u64,
    /// The time after which a device is given up, in the clock's units: a second and more. A reset may take that long.
    pub limit: u64,
}

impl Patience {
    /// Waits until `is_done` returns something; `None` if the time passes before.
    pub fn wait<T>(&self, mut is_done: impl FnMut() -> Option<T>) -> Option<T> {
        let start = (self.now)();
        loop {
            // What was seen too late is seen all the same.
            let is_late = (self.now)().wrapping_sub(start) > self.limit;
            if let Some(done) = is_done() {
                return Some(done);
            }
            if is_late {
                return None;
            }
            spin_loop();
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Patience;
    use core::sync::atomic::{AtomicU64, Ordering};

    static NOW: AtomicU64 = AtomicU64::new(0);

    /// A clock that goes on each time that it is read, by all tests.
    pub const PATIENCE: Patience = Patience { now: || NOW.fetch_add(1, Ordering::Relaxed), limit: 10_000 };
}

#[cfg(test)]
mod tests {
    use super::testing::PATIENCE;

    #[test]
    fn waits_as_long_as_it_is_told() {
        let mut looks = 0;
        let mut is_third = || {
            looks += 1;
            (looks == 3).then_some(looks)
        };
        assert_eq!(PATIENCE.wait(&mut is_third), Some(3));
        assert_eq!(PATIENCE.wait(|| None::<()>), None);
    }
}
