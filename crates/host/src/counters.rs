//! The processor's performance counters, by Linux's perf events.

use std::cell::RefCell;
use std::io;

use bareflow_loader::Counters;
use perf_event::events::{Event, Hardware};
use perf_event::{Builder, Counter, Group};

/// A group of four counters of this thread's user-mode code.
pub(crate) struct Counting {
    group: RefCell<Group>,
    counters: [Counter; 4],
}

impl Counting {
    /// Starts counting. Fails if the processor, the hypervisor or the system does not allow it.
    pub fn start() -> io::Result<Counting> {
        let [cycles, instructions, branches, caches] =
            [Hardware::CPU_CYCLES, Hardware::INSTRUCTIONS, Hardware::BRANCH_MISSES, Hardware::CACHE_MISSES];
        Counting::of([cycles, instructions, branches, caches])
    }

    fn of<E: Event + Clone>(events: [E; 4]) -> io::Result<Counting> {
        let mut group = Group::new()?;
        let mut add = |event: E| group.add(Builder::new(event).exclude_kernel(true).exclude_hv(true));
        let [first, second, third, fourth] = events;
        let counters = [add(first)?, add(second)?, add(third)?, add(fourth)?];
        group.enable()?;
        Ok(Counting { group: RefCell::new(group), counters })
    }

    /// Returns the counts so far. `None` if others used the counters for part of the time.
    pub fn read(&self) -> Option<Counters> {
        let counted = self.group.try_borrow_mut().ok()?.read().ok()?;
        if counted.time_running() != counted.time_enabled() {
            return None;
        }
        let of = |counter| counted.get(counter).map(|entry| entry.value());
        let [cycles, instructions, branches, caches] = &self.counters;
        Some(Counters {
            core_cycles: of(cycles)?,
            instructions: of(instructions)?,
            branch_misses: of(branches)?,
            cache_misses: of(caches)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perf_event::events::Software;

    #[test]
    fn reads_what_the_system_counts() {
        // Events that every machine has, instead of those that few virtual machines have.
        let events =
            [Software::PAGE_FAULTS, Software::TASK_CLOCK, Software::CONTEXT_SWITCHES, Software::CPU_MIGRATIONS];
        let counting = match Counting::of(events) {
            Ok(counting) => counting,
            // If the system does not allow counting (`/proc/sys/kernel/perf_event_paranoid`), there is nothing to
            // check.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                assert!(Counting::start().is_err());
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let before = counting.read().unwrap();
        std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = counting.read().unwrap();
        assert!(after.core_cycles - before.core_cycles >= 32, "{before:?} {after:?}");
        assert!(after.instructions > before.instructions, "{before:?} {after:?}");
    }
}
