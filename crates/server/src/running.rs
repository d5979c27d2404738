//! The clients whose work runs: one's job, and within its calls what others ask for meanwhile.

use core::cell::Cell;

use bareflow_loader::MAX_DEPTH;

/// A client whose work runs, and whether it left meanwhile.
type Run = (u32, bool);

/// The clients whose work runs, each within that of the one before. Work that nests deeper than calls do is not broken off
/// when its client leaves.
#[derive(Debug, Default)]
pub(crate) struct Running([Cell<Option<Run>>; MAX_DEPTH]);

impl Running {
    /// Does `work` of a client. Returns whether the client left meanwhile.
    pub fn run<Made>(&self, client: u32, work: impl FnOnce() -> Made) -> (Made, bool) {
        let Some(place) = self.0.iter().find(|place| place.get().is_none()) else { return (work(), false) };
        place.set(Some((client, false)));
        let made = work();
        (made, place.take().is_some_and(|(_, has_left)| has_left))
    }

    /// Notes that a client left.
    pub fn leave(&self, client: u32) {
        for place in &self.0 {
            place.set(place.get().map(|(other, has_left)| (other, has_left || other == client)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_is_noticed_in_work_of_its_own_alone() {
        let running = Running::default();
        for (leaver, expected) in [(1, (true, false)), (2, (false, true)), (3, (false, false))] {
            let (((), inner), outer) = running.run(1, || {
                let inner = running.run(2, || running.leave(leaver));
                assert_eq!(running.run(4, || ()), ((), false));
                inner
            });
            assert_eq!((outer, inner), expected);
        }
        // Also after the end of work within, and for all work of a client's.
        let (((), inner), outer) = running.run(1, || running.run(1, || running.leave(1)));
        assert!(inner && outer);
        assert_eq!(running.run(1, || _ = running.run(2, || ())), ((), false));
        assert_eq!(running.run(1, || (running.run(2, || ()), running.leave(1)).1), ((), true));
    }

    #[test]
    fn work_that_nests_deeper_than_calls_goes_on() {
        fn nest(running: &Running, left: u32) -> bool {
            let work = || match left {
                0 => running.leave(0),
                left => assert!(!nest(running, left - 1)),
            };
            running.run(left, work).1
        }
        let running = Running::default();
        assert!(!nest(&running, MAX_DEPTH as u32));
        assert!(nest(&running, 0));
    }
}
