use super::*;
use allocator_api2::alloc::Global;
use bareflow_abi::events::{Event, Events, encode, encoded_size};
use core::num::NonZeroU64;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::string::String;
use std::vec::Vec;

const TIMERS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Add,
    Remove(usize),
    Arm { module: usize, timer: usize, after: u64, period: u64 },
    Publish(usize),
    Wait(u64),
    Take,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => Just(Step::Add),
        1 => (0..8_usize).prop_map(Step::Remove),
        6 => (0..8_usize, 0..TIMERS, 0..50_u64, prop_oneof![Just(0), 1..20_u64])
            .prop_map(|(module, timer, after, period)| Step::Arm { module, timer, after, period }),
        2 => (0..8_usize).prop_map(Step::Publish),
        4 => (0..30_u64).prop_map(Step::Wait),
        6 => Just(Step::Take),
    ];
    prop::collection::vec(step, 0..200)
}

/// A module as the slow model sees it: its slot, its timers (due and period), and what is pending.
struct Known {
    slot: SlotNumber,
    timers: [(u64, u64); TIMERS],
    pending: BTreeSet<u32>,
}

fn declare(number: usize) -> Vec<u8> {
    let names: Vec<String> = (0..TIMERS).map(|index| std::format!("t{index}")).collect();
    // Each subscribes to the one before, and all to itself.
    let sources = [std::format!("m{}.done", number.checked_sub(1).unwrap_or(999)), std::format!("m{number}.done")];
    let mut events: Vec<Event<'_>> = Vec::new();
    for (name, function) in names.iter().zip(0..) {
        events.push(Event { kind: Kind::Timer, at_start: false, function, period_us: 0, name, source: "" });
    }
    for (source, name) in sources.iter().zip(["before", "own"]) {
        events.push(Event { kind: Kind::Subscription, at_start: false, function: 7, period_us: 0, name, source });
    }
    let name = "done";
    events.push(Event { kind: Kind::Notification, at_start: false, function: 0, period_us: 0, name, source: "" });
    encode::<512>(&events)[..encoded_size(&events)].to_vec()
}

proptest! {
    #[test]
    fn does_what_a_slow_table_does(steps in steps()) {
        let (mut table, mut now, mut count) = (EventTable::new(Global), 0, 0);
        let mut known: BTreeMap<usize, Known> = BTreeMap::new();
        for step in steps {
            let nth = |index: usize| known.keys().copied().nth(index % known.len().max(1));
            match step {
                Step::Add => {
                    let record = declare(count);
                    let name = Name::new(&std::format!("m{count}")).unwrap();
                    let id = ModuleId { index: count, epoch: NonZeroU64::MIN };
                    let slot = table.add(id, name, Events::new(&record), &Name::new, &Global).unwrap();
                    table.start(slot, now, None);
                    known.insert(count, Known { slot, timers: [(NEVER, 0); TIMERS], pending: BTreeSet::new() });
                    count += 1;
                }
                Step::Remove(index) => {
                    if let Some(known) = nth(index).and_then(|number| known.remove(&number)) {
                        table.remove(known.slot);
                    }
                }
                Step::Arm { module, timer, after, period } => {
                    let Some(module) = nth(module).and_then(|number| known.get_mut(&number)) else { continue };
                    module.timers[timer] = (now + after, period);
                    table.change(module.slot, |slot| {
                        (slot.events[timer].due_us, slot.events[timer].period_us) = (now + after, period);
                    });
                }
                Step::Publish(index) => {
                    let Some(number) = nth(index) else { continue };
                    let mut subscribers = 0;
                    for (event, other) in [(TIMERS as u32 + 1, number), (TIMERS as u32, number + 1)] {
                        if let Some(other) = known.get_mut(&other) {
                            other.pending.insert(event);
                            subscribers += 1;
                        }
                    }
                    let slot = table.slot(known[&number].slot).unwrap();
                    let (module, name) = (slot.name, slot.published[0]);
                    prop_assert_eq!(table.publish(module, name), subscribers);
                }
                Step::Wait(time) => {
                    now += time;
                    table.expire(now);
                    for module in known.values_mut() {
                        for (timer, (due, period)) in module.timers.iter_mut().enumerate() {
                            if *due <= now {
                                module.pending.insert(timer as u32);
                                while *due <= now {
                                    *due = if *period == 0 { NEVER } else { *due + *period };
                                }
                            }
                        }
                    }
                }
                Step::Take => {
                    let waiting = known.values().filter(|known| !known.pending.is_empty()).count();
                    prop_assert_eq!(table.ready_count(), waiting);
                    let taken = table.take();
                    prop_assert_eq!(taken.is_some(), waiting > 0);
                    let Some(taken) = taken else { continue };
                    let module = known.get_mut(&taken.module.index).unwrap();
                    prop_assert_eq!(module.slot, taken.slot);
                    for bit in (0..64).filter(|bit| taken.events & 1 << bit != 0) {
                        prop_assert!(module.pending.remove(&bit));
                        let function = if bit < TIMERS as u32 { bit as u16 } else { 7 };
                        prop_assert_eq!(taken.function, Some(function));
                    }
                }
            }
            let next = known.values().flat_map(|known| known.timers).map(|(due, _)| due).min();
            prop_assert_eq!(table.next_due_us(), next.filter(|&next| next != NEVER));
        }
    }
}

#[test]
fn what_is_put_back_is_taken_again_with_its_delay() {
    let (mut table, record) = (EventTable::new(Global), declare(5));
    let id = ModuleId { index: 3, epoch: NonZeroU64::MIN };
    let slot = table.add(id, Name::new("m5").unwrap(), Events::new(&record), &Name::new, &Global).unwrap();
    table.start(slot, 0, None);
    table.change(slot, |slot| slot.events[1].due_us = 10);
    table.expire(15);
    let taken = table.take().unwrap();
    assert_eq!((taken.function, taken.events, taken.since_us), (Some(1), 2, 10));
    table.put_back(taken, false);
    assert_eq!(table.take(), None);
    table.put_back(taken, true);
    assert_eq!(table.take(), Some(taken));
    // What belonged to a module that went does not come back in the next one's slot.
    table.remove(slot);
    let id = ModuleId { index: 4, ..id };
    assert_eq!(table.add(id, Name::new("m6").unwrap(), Events::new(&record), &Name::new, &Global), Some(slot));
    table.start(slot, 20, None);
    table.put_back(taken, true);
    assert_eq!(table.take(), None);
}
