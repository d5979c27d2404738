use super::EventFault;
use crate::error::{InvalidModule, LoadError};
use crate::fault::{Fault, FaultKind};
use crate::module::ModuleId;
use crate::name::Name;
use crate::platform::Callees;
use crate::policy::{FaultPolicy, LoadOptions};
use crate::testing::blob::{self, add_record};
use crate::testing::{FakePlatform, LeakedManager as Manager, leaked_manager as manager};
use bareflow_abi::events::{self, BadEvent, Event, Kind};
use bareflow_abi::header::FLAG_INIT;
use bareflow_abi::interface::bindings::{Method, NewEntry, Role, encode, encoded_size, function_fingerprint};
use bareflow_abi::interface::{Frame, Interface, MAX_WORDS, Shape};
use bareflow_abi::record::{BINDINGS, EVENTS};
use bareflow_events::Events;
use std::boxed::Box;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

const FAULT: Fault = Fault { kind: FaultKind::Divide, offset: Some(3), address: None };

const fn timer(name: &'static str, function: u16, period_us: u64) -> Event<'static> {
    Event { kind: Kind::Timer, at_start: false, function, period_us, name, source: "" }
}

const fn subscription(name: &'static str, function: u16, source: &'static str) -> Event<'static> {
    Event { kind: Kind::Subscription, at_start: false, function, period_us: 0, name, source }
}

const fn notification(name: &'static str) -> Event<'static> {
    Event { kind: Kind::Notification, at_start: false, function: 0, period_us: 0, name, source: "" }
}

const TICK: Event<'static> = timer("tick", 0, 1000);
const LATER: Event<'static> = timer("later", 1, 0);

const fn function(name: &str) -> Method {
    Method { fingerprint: function_fingerprint(name), shape: Shape::EMPTY }
}

/// Returns a blob of version 1 and a minor one, that imports `events`, has two functions, and these events.
fn module(name: &str, minor: u32, declared: &[Event<'_>]) -> Vec<u8> {
    const IMPORT: NewEntry = NewEntry::of::<dyn Events>("events");
    const FUNCTIONS: NewEntry = NewEntry {
        role: Role::Export,
        name: "",
        interface: "",
        version: (0, 0),
        methods: &[function("first"), function("second")],
    };
    const ENTRIES: &[NewEntry] = &[IMPORT, FUNCTIONS];
    const BYTES: [u8; encoded_size(ENTRIES)] = encode(ENTRIES);
    let mut bytes = blob::version(name, 1, minor);
    add_record(&mut bytes, BINDINGS, &BYTES);
    add_record(&mut bytes, EVENTS, &encoded(declared));
    bytes
}

fn encoded(declared: &[Event<'_>]) -> Vec<u8> {
    events::encode::<8192>(declared)[..events::encoded_size(declared)].to_vec()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A buffer of packed arguments.
#[repr(align(16))]
struct Aligned([u8; 64]);

/// Calls a method of the interface, as the module itself does, by the method's name and with scalars alone.
fn ask(callees: &dyn Callees, method: &str, arguments: &[u64]) -> (u64, u64) {
    let number = ["after", "every", "cancel", "notify", "now"].iter().position(|name| *name == method).unwrap();
    let shape = <dyn Events as Interface>::METHODS[number].shape;
    let (mut input, mut output) = (Aligned([0; 64]), Aligned([0; 64]));
    let bytes = input.0.chunks_exact_mut(8);
    bytes.zip(arguments).for_each(|(bytes, word)| bytes.copy_from_slice(&word.to_le_bytes()));
    let mut words = [0; MAX_WORDS];
    let mut frame = Frame::unpack(shape, &mut words, &input.0[..8 * arguments.len()], &mut output.0[..8]).unwrap();
    let reply = callees.invoke(0, number as u32, &mut frame);
    (reply.status, reply.value)
}

/// Lets a module call a method of the interface in a call of its `run`. Returns the reply's status and value.
fn calls(
    platform: &'static FakePlatform,
    manager: &Manager,
    id: ModuleId,
    method: &'static str,
    arguments: &'static [u64],
) -> (u64, u64) {
    let answer: &_ = Box::leak(Box::new(std::cell::Cell::new((u64::MAX, 0))));
    platform.inside.borrow_mut().push_back(Box::new(move |callees| answer.set(ask(callees, method, arguments))));
    manager.execute(id).unwrap();
    answer.get()
}

/// Advances the time and runs all events. Returns what was called: module, function, events.
fn after(platform: &FakePlatform, manager: &Manager, microseconds: u64) -> Vec<(&'static str, u32, u64)> {
    platform.microseconds.set(platform.microseconds.get().map(|now| now + microseconds));
    platform.functions.borrow_mut().clear();
    manager.run_events(100);
    let called = platform.functions.take();
    called.into_iter().map(|(name, function, events)| (Box::leak(Box::new(name)).as_str(), function, events)).collect()
}

const NO_SUCH_EVENT: u64 = 1;
const BAD_INTERVAL: u64 = 2;

#[test]
fn timers_with_a_period_start_by_themselves_and_make_up_for_nothing() {
    let (platform, manager) = manager();
    let id = manager.load(&module("a", 0, &[TICK])).unwrap();
    assert_eq!(after(platform, manager, 999), []);
    assert_eq!(after(platform, manager, 1), [("a", 0, 1)]);
    assert_eq!(after(platform, manager, 0), []);
    assert_eq!(after(platform, manager, 5500), [("a", 0, 1)]);
    assert_eq!(after(platform, manager, 499), []);
    assert_eq!(after(platform, manager, 1), [("a", 0, 1)]);
    let counts = manager.event_counts(id).unwrap();
    assert_eq!((counts.handled, counts.missed, counts.late, counts.longest_delay_us), (3, 4, 1, 4500));
    assert_eq!(manager.run_events(1).next_due_us, Some(8000));
}

#[test]
fn a_module_arms_and_cancels_its_timers() {
    let (platform, manager) = manager();
    let id = manager.load(&module("a", 0, &[TICK, LATER])).unwrap();
    assert_eq!(calls(platform, manager, id, "cancel", &[0]), (0, 1));
    assert_eq!(calls(platform, manager, id, "cancel", &[0]), (0, 0));
    assert_eq!(calls(platform, manager, id, "after", &[1, 10]), (0, 0));
    assert_eq!(calls(platform, manager, id, "after", &[1, 30]), (0, 0));
    assert_eq!(after(platform, manager, 29), []);
    assert_eq!(after(platform, manager, 1), [("a", 1, 2)]);
    assert_eq!(after(platform, manager, 10_000), []);
    assert_eq!(calls(platform, manager, id, "every", &[1, 7]), (0, 0));
    assert_eq!(after(platform, manager, 7), [("a", 1, 2)]);
    assert_eq!(after(platform, manager, 7), [("a", 1, 2)]);
    // Never, and at once.
    assert_eq!(calls(platform, manager, id, "after", &[1, u64::MAX]), (0, 0));
    assert_eq!(calls(platform, manager, id, "after", &[0, 0]), (0, 0));
    assert_eq!(after(platform, manager, 0), [("a", 0, 1)]);
    assert_eq!(manager.run_events(1).next_due_us, None);
    assert_eq!(calls(platform, manager, id, "now", &[]), (0, 10_044));
}

#[test]
fn rejects_what_is_no_timer_or_notification() {
    let (platform, manager) = manager();
    let declared = [TICK, subscription("on_price", 1, "feed.price"), notification("done")];
    let id = manager.load(&module("a", 0, &declared)).unwrap();
    assert_eq!(calls(platform, manager, id, "after", &[1, 5]).0, NO_SUCH_EVENT);
    assert_eq!(calls(platform, manager, id, "every", &[2, 5]).0, NO_SUCH_EVENT);
    assert_eq!(calls(platform, manager, id, "every", &[0, 0]).0, BAD_INTERVAL);
    assert_eq!(calls(platform, manager, id, "cancel", &[64]).0, NO_SUCH_EVENT);
    assert_eq!(calls(platform, manager, id, "notify", &[1]).0, NO_SUCH_EVENT);
    assert_eq!(calls(platform, manager, id, "notify", &[0]), (0, 0));
}

#[test]
fn subscribers_are_called_once_for_any_number_of_notifications() {
    let (platform, manager) = manager();
    let price = subscription("on_price", 1, "feed.price");
    // A subscriber may be there before what it subscribes to.
    let first = manager.load(&module("first", 0, &[price])).unwrap();
    let feed = manager.load(&module("feed", 0, &[notification("other"), notification("price")])).unwrap();
    manager.load(&module("second", 0, &[TICK, price])).unwrap();
    for _ in 0..3 {
        assert_eq!(calls(platform, manager, feed, "notify", &[1]), (0, 2));
    }
    assert_eq!(calls(platform, manager, feed, "notify", &[0]), (0, 0));
    assert_eq!(after(platform, manager, 0), [("first", 1, 1), ("second", 1, 2)]);
    assert_eq!(after(platform, manager, 0), []);
    manager.unload(first).unwrap();
    assert_eq!(calls(platform, manager, feed, "notify", &[1]), (0, 1));
}

#[test]
fn circles_of_notifications_leave_room_for_others() {
    let (platform, manager) = manager();
    let itself = module("itself", 0, &[subscription("again", 0, "itself.done"), notification("done")]);
    let id = manager.load(&itself).unwrap();
    manager.load(&module("other", 0, &[TICK])).unwrap();
    calls(platform, manager, id, "notify", &[0]);
    for _ in 0..4 {
        platform.inside.borrow_mut().push_back(Box::new(|callees| {
            // The other one, whose turn comes as well, publishes nothing.
            assert!([(0, 1), (NO_SUCH_EVENT, 0)].contains(&ask(callees, "notify", &[0])));
        }));
    }
    platform.microseconds.set(Some(1000));
    let run = manager.run_events(3);
    assert_eq!((run.called, run.has_more), (3, true));
    let called: Vec<_> = platform.functions.borrow().iter().map(|(name, ..)| *name).collect();
    assert!(called.contains(&name("other")));
}

#[test]
fn events_of_one_function_come_together_and_modules_take_turns() {
    let (platform, manager) = manager();
    manager.load(&module("a", 0, &[TICK, timer("tock", 0, 1000), timer("other", 1, 1000)])).unwrap();
    manager.load(&module("b", 0, &[TICK])).unwrap();
    assert_eq!(after(platform, manager, 1000), [("a", 0, 3), ("b", 0, 1), ("a", 1, 4)]);
}

#[test]
fn a_running_module_gets_its_events_afterwards() {
    let (platform, manager) = manager();
    let id = manager.load(&module("a", 0, &[TICK])).unwrap();
    let leaked: &'static Manager = manager;
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        platform.microseconds.set(Some(5000));
        let run = leaked.run_events_during_call(9);
        assert_eq!((run.called, run.has_more), (0, false));
    }));
    manager.execute(id).unwrap();
    assert_eq!(after(platform, manager, 0), [("a", 0, 1)]);
    // Neither does it nest in events.
    platform.meanwhile.borrow_mut().push_back(Box::new(move || assert_eq!(leaked.run_events(9).called, 0)));
    assert_eq!(after(platform, manager, 1000), [("a", 0, 1)]);
}

#[test]
fn a_call_is_interrupted_by_what_has_nothing_to_do_with_it_for_half_of_the_time() {
    let (platform, manager) = manager();
    let busy = manager.load(&module("busy", 0, &[LATER])).unwrap();
    manager.load(&module("ticker", 0, &[TICK, timer("tock", 1, 1000)])).unwrap();
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        platform.microseconds.set(Some(10_000));
        // A handler takes ten cycles; the next may run ten cycles after its end.
        assert_eq!(manager.run_events_during_call(9).called, 1);
        platform.time.set(platform.time.get() + 9);
        assert_eq!(manager.run_events_during_call(9).called, 0);
        platform.time.set(platform.time.get() + 1);
        assert_eq!(manager.run_events_during_call(9).called, 1);
    }));
    let returned = manager.execute_timed(busy, &[], &mut []).unwrap();
    assert_eq!(platform.functions.borrow().len(), 2);
    // The call's reading is without the time of the two.
    assert_eq!((returned.cycles, manager.stats(busy).unwrap().total_cycles), (20, 20));
    assert_eq!(manager.execute_timed(busy, &[], &mut []).unwrap().cycles, 10);
}

#[test]
fn a_reload_carries_timers_and_notifications_over() {
    let (platform, manager) = manager();
    let price = subscription("on_price", 1, "feed.price");
    let feed = manager.load(&module("feed", 0, &[notification("price")])).unwrap();
    let old = manager.load(&module("a", 0, &[TICK, LATER, price, timer("gone", 0, 10)])).unwrap();
    calls(platform, manager, old, "after", &[1, 600]);
    calls(platform, manager, feed, "notify", &[0]);
    after(platform, manager, 0);
    calls(platform, manager, feed, "notify", &[0]);
    platform.microseconds.set(Some(500));
    // The order, and so the numbers, may be others.
    manager.replace(&module("a", 1, &[price, LATER, TICK]), &LoadOptions::DEFAULT).unwrap();
    assert_eq!(after(platform, manager, 0), [("a", 1, 1)]);
    assert_eq!(after(platform, manager, 100), [("a", 1, 2)]);
    assert_eq!(after(platform, manager, 400), [("a", 0, 4)]);
    // A refused one changes nothing.
    platform.results.borrow_mut().push_back(Ok(42));
    assert!(manager.replace(&module("a", 1, &[TICK, TICK]), &LoadOptions::DEFAULT).is_err());
    assert_eq!(after(platform, manager, 1000), [("a", 0, 4)]);
}

#[test]
fn candidates_have_no_events_until_they_are_promoted() {
    let (platform, manager) = manager();
    manager.load(&module("a", 0, &[TICK])).unwrap();
    let candidate =
        manager.load_candidate(&module("a", 1, &[timer("second", 1, 0), TICK]), &LoadOptions::DEFAULT).unwrap();
    assert_eq!(after(platform, manager, 1000), [("a", 0, 1)]);
    manager.promote(candidate).unwrap();
    assert_eq!(after(platform, manager, 1000), [("a", 0, 2)]);
}

#[test]
fn a_handlers_fault_ends_the_run_and_stops_or_restarts_its_module() {
    let (platform, manager) = manager();
    let options = LoadOptions { on_fault: FaultPolicy::RestartTimes(1), ..LoadOptions::DEFAULT };
    let id = manager.load_with(&module("a", 0, &[TICK, LATER]), &options).unwrap();
    manager.load(&module("b", 0, &[TICK])).unwrap();
    calls(platform, manager, id, "after", &[1, 1500]);
    platform.microseconds.set(Some(1000));
    platform.results.borrow_mut().push_back(Err(FAULT));
    let run = manager.run_events(9);
    assert_eq!((run.called, run.has_more, run.fault), (1, true, Some(EventFault { module: id, fault: FAULT })));
    assert_eq!(after(platform, manager, 0), [("b", 0, 1)]);
    // What it armed itself is gone, and what it declares begins anew.
    assert_eq!(after(platform, manager, 999), []);
    platform.results.borrow_mut().extend([Ok(0), Err(FAULT)]);
    assert_eq!(after(platform, manager, 1), [("b", 0, 1), ("a", 0, 1)]);
    // A stopped module holds up no other.
    assert_eq!(after(platform, manager, 1000), [("b", 0, 1)]);
    assert!(!manager.run_events(9).has_more);
}

#[test]
fn stopped_modules_hold_up_no_other_however_many_they_are() {
    let (platform, manager) = manager();
    for name in ["a", "b", "c"] {
        let id = manager.load(&module(name, 0, &[TICK])).unwrap();
        platform.results.borrow_mut().push_back(Err(FAULT));
        assert!(manager.execute(id).is_err());
    }
    manager.load(&module("d", 0, &[TICK])).unwrap();
    assert_eq!(after(platform, manager, 1000), [("d", 0, 1)]);
    assert_eq!(after(platform, manager, 1000), [("d", 0, 1)]);
}

#[test]
fn a_task_says_what_it_waits_for_and_ends() {
    let (platform, manager) = manager();
    let start = Event { at_start: true, ..LATER };
    let id = manager.load(&module("a", 0, &[TICK, start])).unwrap();
    assert_eq!(after(platform, manager, 0), [("a", 1, 2)]);
    let mut waited = vec![];
    manager.for_each_event(id, |event| waited.push(event.is_awaited));
    assert_eq!((waited, manager.has_ended(id)), (vec![false, false], false));
    assert!(!manager.request_stop(id));
}

#[test]
fn ten_thousand_timers_are_due_in_order() {
    let (platform, manager) = manager();
    for number in 0..160_u64 {
        let names: Vec<_> = (0..64).map(|index| std::format!("t{index}")).collect();
        let period = |index: u64| 1 + (number * 64 + index) * 7919 % 10_007;
        let timers: Vec<_> =
            (0..64).map(|index| Event { name: &names[index as usize], ..timer("", 0, period(index)) }).collect();
        manager.load(&module(&std::format!("m{number}"), 0, &timers)).unwrap();
    }
    let mut next = manager.run_events(0).next_due_us.unwrap();
    for _ in 0..50 {
        platform.microseconds.set(Some(next));
        let run = manager.run_events(10_000);
        assert!(run.called > 0 && !run.has_more);
        assert!(run.next_due_us.unwrap() > next);
        next = run.next_due_us.unwrap();
    }
    for id in manager.ids().collect::<Vec<_>>() {
        manager.unload(id).unwrap();
    }
    assert_eq!(manager.run_events(9), super::EventsRun::default());
}

#[test]
fn rejects_events_without_time_and_records_that_are_wrong() {
    let (platform, manager) = manager();
    platform.microseconds.set(None);
    assert_eq!(manager.load(&module("a", 0, &[TICK])), Err(LoadError::NoTime));
    platform.microseconds.set(Some(0));
    let error = manager.load(&module("a", 0, &[timer("tick", 2, 5)]));
    assert_eq!(error, Err(LoadError::Invalid(InvalidModule::Event { number: 1, why: BadEvent::Function })));
    let mut twice = module("a", 0, &[TICK]);
    add_record(&mut twice, EVENTS, &encoded(&[TICK]));
    assert_eq!(manager.load(&twice), Err(LoadError::Invalid(InvalidModule::TwoEvents)));
    let mut alone = blob::version("a", 1, 0);
    add_record(&mut alone, EVENTS, &encoded(&[TICK]));
    assert!(matches!(manager.load(&alone), Err(LoadError::Invalid(InvalidModule::Event { .. }))));
    assert_eq!(platform.images.get(), 0);
}

const fn watchdog(period_us: u64) -> Event<'static> {
    Event { kind: Kind::Watchdog, at_start: false, function: 0, period_us, name: "watchdog", source: "" }
}

#[test]
fn a_watchdog_ends_a_module_none_of_whose_handlers_returned_in_time() {
    const BITTEN: Fault = Fault { kind: FaultKind::Watchdog, offset: None, address: None };
    let (platform, manager) = manager();
    let options = LoadOptions { on_fault: FaultPolicy::RestartTimes(1), ..LoadOptions::default() };
    let id = manager.load_with(&module("a", 0, &[LATER, watchdog(5000)]), &options).unwrap();
    // Whichever handler returns, it starts anew.
    assert_eq!(calls(platform, manager, id, "after", &[0, 3000]), (0, 0));
    assert_eq!(after(platform, manager, 3000), [("a", 1, 1)]);
    assert_eq!(after(platform, manager, 4999), []);
    assert_eq!(manager.stats(id).unwrap().faults, 0);
    platform.microseconds.set(Some(8000));
    let run = manager.run_events(9);
    assert_eq!((run.called, run.fault), (1, Some(EventFault { module: id, fault: BITTEN })));
    assert_eq!(BITTEN.to_string(), "watchdog");
    // It was restarted, and so was the watchdog.
    assert_eq!((after(platform, manager, 4999), manager.stats(id).unwrap().restarts), (vec![], 1));
    assert_eq!(manager.execute(id), Ok(42));
    after(platform, manager, 1);
    let profile = manager.stats(id).unwrap();
    assert_eq!((profile.stopped, profile.faults, profile.fault), (true, 2, Some(BITTEN)));
    assert_eq!((after(platform, manager, 50_000), manager.stats(id).unwrap().faults), (vec![], 2));
}

#[test]
fn rejects_a_module_that_stops_its_watchdog() {
    let (platform, manager) = manager();
    let id = manager.load(&module("a", 0, &[LATER, watchdog(5000)])).unwrap();
    for (method, arguments) in [("after", &[1, 9_000_000][..]), ("every", &[1, 9_000_000]), ("cancel", &[1])] {
        assert_eq!(calls(platform, manager, id, method, arguments).0, NO_SUCH_EVENT, "{method}");
    }
    after(platform, manager, 5000);
    assert_eq!(manager.stats(id).unwrap().faults, 1);
}

#[test]
fn faults_restarts_and_stops_are_published_in_the_name_of_the_module() {
    let (platform, manager) = manager();
    let declared = [
        subscription("one", 0, "a.faulted"),
        subscription("two", 1, "a.restarted"),
        subscription("three", 1, "a.stopped"),
    ];
    manager.load(&module("b", 0, &declared)).unwrap();
    let options = LoadOptions { on_fault: FaultPolicy::RestartTimes(1), ..LoadOptions::default() };
    let id = manager.load_with(&blob::small("a"), &options).unwrap();
    platform.results.borrow_mut().push_back(Err(FAULT));
    assert!(manager.execute(id).is_err());
    assert_eq!(after(platform, manager, 0), [("b", 0, 1), ("b", 1, 2)]);
    platform.results.borrow_mut().push_back(Err(FAULT));
    assert!(manager.execute(id).is_err());
    assert_eq!(after(platform, manager, 0), [("b", 0, 1), ("b", 1, 4)]);
}

#[test]
fn what_is_stopped_wakes_no_one_until_it_is_restarted() {
    let (platform, manager) = manager();
    let options = LoadOptions { on_fault: FaultPolicy::RestartTimes(0), ..LoadOptions::default() };
    let price = subscription("on_price", 1, "feed.price");
    let feed = manager.load(&module("feed", 0, &[notification("price")])).unwrap();
    let id = manager.load_with(&module("a", 0, &[TICK, price, watchdog(9000)]), &options).unwrap();
    platform.results.borrow_mut().push_back(Err(FAULT));
    assert!(manager.execute(id).is_err());
    assert_eq!(manager.run_events(9).next_due_us, None);
    // What it is notified of waits for it, and neither that nor its timers are anything to do.
    assert_eq!(calls(platform, manager, feed, "notify", &[0]), (0, 1));
    assert_eq!(after(platform, manager, 50_000), []);
    assert!(!manager.has_due_events());
    // A restart that fails changes nothing about that.
    platform.is_short.set(true);
    assert!(manager.restart(id, None).is_err());
    platform.is_short.set(false);
    assert_eq!((after(platform, manager, 50_000), manager.run_events(9).next_due_us), (vec![], None));
    assert_eq!(manager.restart(id, None), Ok(()));
    assert_eq!(after(platform, manager, 0), [("a", 1, 2)]);
    assert_eq!(after(platform, manager, 1000), [("a", 0, 1)]);
}

#[test]
fn what_replaces_a_stopped_module_goes_on_with_its_timers() {
    let (platform, manager) = manager();
    let id = manager.load(&module("a", 0, &[TICK, LATER, watchdog(9000)])).unwrap();
    calls(platform, manager, id, "after", &[1, 1500]);
    platform.results.borrow_mut().push_back(Err(FAULT));
    assert!(manager.execute(id).is_err());
    assert_eq!(after(platform, manager, 50_500), []);
    manager.replace(&module("a", 1, &[LATER, TICK, watchdog(9000)]), &LoadOptions::DEFAULT).unwrap();
    assert_eq!(after(platform, manager, 0), [("a", 1, 1), ("a", 0, 2)]);
    assert_eq!(after(platform, manager, 500), [("a", 0, 2)]);
    // The watchdog waited for the old one; it starts anew.
    assert_eq!(manager.stats(manager.find("a").unwrap()).unwrap().faults, 0);
    assert_eq!((after(platform, manager, 0), manager.run_events(9).next_due_us), (vec![], Some(52_000)));
}

#[test]
fn a_failed_restart_keeps_no_timer_that_its_init_armed() {
    let (platform, manager) = manager();
    let mut with_init = module("a", 0, &[TICK, LATER]);
    blob::change_header(&mut with_init, |header| header.flags |= FLAG_INIT);
    let options = LoadOptions { on_fault: FaultPolicy::RestartTimes(0), ..LoadOptions::default() };
    platform.results.borrow_mut().push_back(Ok(0));
    let id = manager.load_with(&with_init, &options).unwrap();
    platform.inside.borrow_mut().push_back(Box::new(|callees| assert_eq!(ask(callees, "after", &[1, 10]), (0, 0))));
    platform.results.borrow_mut().push_back(Ok(1));
    assert!(manager.restart(id, None).is_err());
    assert_eq!(after(platform, manager, 999), []);
    assert_eq!(after(platform, manager, 1), [("a", 0, 1)]);
}

#[test]
fn who_looks_at_events_may_change_them() {
    let (platform, manager) = manager();
    let price = subscription("on_price", 1, "feed.price");
    let id = manager.load(&module("a", 0, &[TICK, price, LATER])).unwrap();
    let mut seen = vec![];
    manager.for_each_event(id, |event| {
        seen.push((event.name.to_string(), event.source.to_string(), event.due_us));
        manager.run_events(9);
        calls(platform, manager, id, "after", &[2, 7]);
    });
    let expected = [("tick", "", Some(1000)), ("on_price", "feed.price", None), ("later", "", Some(7))];
    assert_eq!(seen, expected.map(|(name, source, due)| (name.to_string(), source.to_string(), due)));
    let mut seen = 0;
    manager.for_each_event(id, |_| {
        seen += 1;
        manager.unload(id).unwrap();
    });
    assert_eq!((seen, platform.images.get()), (1, 0));
}

/// Returns a platform whose modules write a word, and its manager.
fn with_output() -> (&'static FakePlatform, &'static Manager) {
    let platform: &_ = Box::leak(Box::new(FakePlatform { output: &[0; 8], ..FakePlatform::default() }));
    (platform, Box::leak(Box::new(crate::testing::manager(platform, crate::Timing::Precise))))
}

const STOP: Event<'static> = Event { kind: Kind::Stop, at_start: false, function: 1, name: "stop", ..TICK_ONCE };
const TICK_ONCE: Event<'static> = timer("", 0, 0);

#[test]
fn only_a_task_ends_by_its_result() {
    let (platform, manager) = with_output();
    let handler = manager.load(&module("a", 0, &[TICK, STOP])).unwrap();
    let task = manager.load(&module("b", 0, &[Event { at_start: true, ..LATER }, STOP])).unwrap();
    assert!(manager.request_stop(handler) && manager.request_stop(task));
    platform.results.borrow_mut().extend([Ok(1), Ok(1)]);
    assert_eq!(after(platform, manager, 1000), [("b", 1, 3), ("a", 0, 1), ("a", 1, 2)]);
    assert_eq!((manager.has_ended(handler), manager.has_ended(task)), (false, true));
    assert_eq!((manager.request_stop(handler), manager.request_stop(task)), (true, false));
    assert_eq!(after(platform, manager, 1000), [("a", 0, 1), ("a", 1, 2)]);
    // Nor does what is stopped handle anything.
    platform.results.borrow_mut().push_back(Err(FAULT));
    assert!(manager.execute(handler).is_err());
    assert!(!manager.request_stop(handler));
}

#[test]
fn timers_and_notifications_need_no_level_of_calls() {
    let (platform, manager) = manager();
    let id = manager.load(&module("a", 0, &[TICK, notification("done")])).unwrap();
    manager.depth.set(crate::MAX_DEPTH - 1);
    assert_eq!(calls(platform, manager, id, "cancel", &[0]), (0, 1));
    assert_eq!(calls(platform, manager, id, "notify", &[0]), (0, 0));
}

#[test]
fn a_task_that_is_restarted_behind_its_end_has_not_ended() {
    let (platform, manager) = with_output();
    let options = LoadOptions { on_fault: FaultPolicy::RestartTimes(0), ..LoadOptions::default() };
    let id = manager.load_with(&module("a", 0, &[Event { at_start: true, ..LATER }]), &options).unwrap();
    platform.meanwhile.borrow_mut().push_back(Box::new(move || assert!(manager.restart_when_idle(id).is_ok())));
    platform.results.borrow_mut().push_back(Ok(1));
    assert_eq!(after(platform, manager, 0), [("a", 1, 1), ("a", 1, 1)]);
    assert!(!manager.has_ended(id));
}

#[test]
fn what_is_published_during_a_restart_waits_for_its_end() {
    let (platform, manager) = manager();
    let price = subscription("on_price", 1, "feed.price");
    let feed = manager.load(&module("feed", 0, &[notification("price")])).unwrap();
    let mut with_init = module("a", 0, &[TICK, price]);
    blob::change_header(&mut with_init, |header| header.flags |= FLAG_INIT);
    let options = LoadOptions { on_fault: FaultPolicy::RestartTimes(0), ..LoadOptions::default() };
    for (init, restarts) in [(0, true), (1, false)] {
        platform.results.borrow_mut().push_back(Ok(0));
        let id = manager.load_with(&with_init, &options).unwrap();
        platform.meanwhile.borrow_mut().push_back(Box::new(move || {
            assert_eq!(calls(platform, manager, feed, "notify", &[0]), (0, 1));
            assert_eq!(after(platform, manager, 0), [], "its init is under way");
            platform.results.borrow_mut().push_back(Ok(init));
        }));
        assert_eq!(manager.restart(id, None).is_ok(), restarts);
        assert_eq!(after(platform, manager, 0), [("a", 1, 2)]);
        manager.unload(id).unwrap();
    }
}

#[test]
fn a_watchdog_that_waited_for_a_call_is_forgotten_when_a_handler_returns() {
    let (platform, manager) = manager();
    let id = manager.load(&module("a", 0, &[TICK, watchdog(5000)])).unwrap();
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        platform.microseconds.set(Some(5000));
        assert_eq!(manager.run_events_during_call(9).called, 0);
    }));
    manager.execute(id).unwrap();
    assert_eq!(after(platform, manager, 0), [("a", 0, 1)]);
    assert_eq!(manager.stats(id).unwrap().faults, 0);
    assert_eq!((after(platform, manager, 4999), manager.stats(id).unwrap().faults), (vec![("a", 0, 1)], 0));
}

#[test]
fn a_watchdog_of_a_pinned_module_restarts_it_when_it_is_unpinned() {
    let (platform, manager) = manager();
    let options = LoadOptions { on_fault: FaultPolicy::Restart, ..LoadOptions::default() };
    let id = manager.load_with(&module("a", 0, &[watchdog(5000)]), &options).unwrap();
    let mut pinned = manager.pin(id).unwrap();
    assert_eq!(pinned.execute(), Ok(42));
    after(platform, manager, 5000);
    assert_eq!(manager.stats(id).unwrap().faults, 1);
    assert!(matches!(pinned.execute(), Err(crate::ExecuteError::Stopped(_))));
    assert_eq!(pinned.execute(), Ok(42));
    assert_eq!(manager.stats(id).unwrap().restarts, 1);
    after(platform, manager, 5000);
    drop(pinned);
    assert_eq!((manager.execute(id), manager.stats(id).unwrap().restarts), (Ok(42), 2));
}

#[test]
fn a_module_that_is_busy_is_marked_as_due_once() {
    let (platform, manager) = manager();
    let id = manager.load(&module("a", 0, &[TICK])).unwrap();
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        for now in 1..100 {
            platform.microseconds.set(Some(now * 1000));
            manager.run_events(9);
        }
    }));
    platform.traced.take();
    manager.execute(id).unwrap();
    let due =
        platform.traced.borrow().iter().filter(|one| matches!(one.1, crate::platform::Occurrence::Due(_))).count();
    assert!(due <= 1, "{due}");
}

#[test]
fn a_request_to_end_is_not_one_for_what_replaces_the_module() {
    let (platform, manager) = manager();
    let id = manager.load(&module("a", 0, &[TICK, STOP])).unwrap();
    assert!(manager.request_stop(id));
    manager.replace(&module("a", 1, &[TICK, STOP]), &LoadOptions::DEFAULT).unwrap();
    assert_eq!(after(platform, manager, 1000), [("a", 0, 1)]);
}
