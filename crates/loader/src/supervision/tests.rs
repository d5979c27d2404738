//! Tests of supervision, with a clock that is moved by hand.

use std::boxed::Box;
use std::string::ToString;
use std::vec::Vec;

use bareflow_abi::Reason;
use bareflow_abi::header::FLAG_INIT;

use crate::error::{ExecuteError, LoadError, RestartError};
use crate::fault::{Fault, FaultKind};
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::module::notice::Happening;
use crate::platform::Occurrence;
use crate::policy::{FaultPolicy, LoadOptions};
use crate::profile::Timing;
use crate::testing::{FakePlatform, blob, leaked_manager, manager as manager_of};

const FAULT: Fault = Fault { kind: FaultKind::Divide, offset: Some(0), address: None };

type Manager<'platform> = ModuleManager<&'platform FakePlatform>;

fn manager(platform: &FakePlatform) -> Manager<'_> {
    manager_of(platform, Timing::Precise)
}

fn options(policy: &str) -> LoadOptions {
    LoadOptions { on_fault: FaultPolicy::parse(policy).unwrap(), ..LoadOptions::default() }
}

fn with_init(mut bytes: Vec<u8>) -> Vec<u8> {
    blob::change_header(&mut bytes, |header| header.flags |= FLAG_INIT);
    bytes
}

/// Moves the clock to a time in milliseconds, and takes a step if one is due.
fn at(platform: &FakePlatform, manager: &Manager<'_>, milliseconds: u64) -> Option<u64> {
    platform.microseconds.set(Some(milliseconds * 1000));
    manager.restart_due().map(|due| due / 1000)
}

/// Lets a module fault, and returns the milliseconds until it starts again.
fn fault(platform: &FakePlatform, manager: &Manager<'_>, id: ModuleId) -> Option<u64> {
    platform.results.borrow_mut().push_back(Err(FAULT));
    assert_eq!(manager.execute(id), Err(ExecuteError::Faulted(FAULT)));
    manager.supervised(id).unwrap().starts_in_us.map(|microseconds| microseconds / 1000)
}

fn happenings(manager: &Manager<'_>) -> Vec<Happening> {
    core::iter::from_fn(|| manager.take_notice()).map(|notice| notice.happening).collect()
}

#[test]
fn doubles_the_delay_up_to_the_longest() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let id = manager.load_with(&blob::full(), &options("backoff:10ms..50ms,9/60s")).unwrap();
    assert_eq!(manager.restart_due(), None);
    let mut now = 1000;
    for delay in [10, 20, 40, 50, 50] {
        at(&platform, &manager, now);
        assert_eq!(fault(&platform, &manager, id), Some(delay));
        let waiting = ExecuteError::Waiting { kind: FaultKind::Divide, starts_in_us: delay * 1000 };
        assert_eq!(manager.execute(id), Err(waiting));
        assert_eq!(at(&platform, &manager, now + delay - 1), Some(now + delay));
        let waiting = ExecuteError::Waiting { kind: FaultKind::Divide, starts_in_us: 1000 };
        assert_eq!((manager.execute(id), platform.images.get()), (Err(waiting), 1));
        now += delay;
        assert_eq!((at(&platform, &manager, now), manager.execute(id)), (None, Ok(42)));
    }
    let (profile, supervised) = (manager.stats(id).unwrap(), manager.supervised(id).unwrap());
    assert_eq!((profile.restarts, profile.faults, supervised.restarts_within_window), (5, 5, 5));
    assert_eq!((profile.generation, supervised.starts_in_us), (1, None));
    manager.unload(id).unwrap();
    assert_eq!(platform.images.get(), 0);
}

#[test]
fn begins_anew_after_a_window_without_a_fault() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let id = manager.load_with(&blob::full(), &options("backoff:10ms..1s,9/5s")).unwrap();
    assert_eq!(fault(&platform, &manager, id), Some(10));
    at(&platform, &manager, 10);
    assert_eq!(fault(&platform, &manager, id), Some(20));
    at(&platform, &manager, 30);
    at(&platform, &manager, 5029);
    assert_eq!(fault(&platform, &manager, id), Some(40), "a millisecond before the window's end");
    at(&platform, &manager, 5069);
    at(&platform, &manager, 10_069);
    assert_eq!(fault(&platform, &manager, id), Some(10));
}

#[test]
fn stops_after_too_many_restarts_within_the_window() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let id = manager.load_with(&blob::full(), &options("backoff:10ms..10ms,2/1s")).unwrap();
    for now in [0, 500] {
        at(&platform, &manager, now);
        assert_eq!(fault(&platform, &manager, id), Some(10));
        at(&platform, &manager, now + 10);
    }
    // The first restart is out of the window now, so there is one more.
    at(&platform, &manager, 1010);
    assert_eq!(manager.supervised(id).unwrap().restarts_within_window, 1);
    assert_eq!(fault(&platform, &manager, id), Some(10));
    at(&platform, &manager, 1020);
    happenings(&manager);
    assert_eq!(fault(&platform, &manager, id), None);
    assert_eq!((at(&platform, &manager, 100_000), manager.execute(id)), (None, Err(ExecuteError::Stopped(FAULT))));
    assert_eq!(happenings(&manager), [Happening::Stopped(Some(FAULT))]);
}

#[test]
fn counts_an_init_that_faults_as_a_restart() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    platform.results.borrow_mut().push_back(Ok(0));
    let id = manager.load_with(&with_init(blob::full()), &options("backoff:10ms..1s,2/60s")).unwrap();
    assert_eq!(fault(&platform, &manager, id), Some(10));
    platform.results.borrow_mut().extend([Err(FAULT), Err(FAULT)]);
    assert_eq!(at(&platform, &manager, 10), Some(30));
    assert_eq!(at(&platform, &manager, 30), None);
    assert_eq!(manager.execute(id), Err(ExecuteError::Stopped(FAULT)));
    assert_eq!(manager.supervised(id).unwrap().refusal, Some(LoadError::InitFaulted(FAULT)));
    let profile = manager.stats(id).unwrap();
    assert_eq!((profile.faults, profile.restarts, platform.images.get()), (3, 0, 1));
}

#[test]
fn tries_again_when_memory_was_short() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let id = manager.load_with(&blob::full(), &options("backoff:10ms..40ms,1/60s")).unwrap();
    assert_eq!(fault(&platform, &manager, id), Some(10));
    platform.is_short.set(true);
    // These are none of its restarts, of which there is only one.
    for (now, next) in [(10, 30), (30, 70), (70, 110)] {
        assert_eq!(at(&platform, &manager, now), Some(next));
        assert!(manager.supervised(id).unwrap().refusal.unwrap().is_for_memory());
    }
    platform.is_short.set(false);
    assert_eq!((at(&platform, &manager, 110), manager.execute(id)), (None, Ok(42)));
    assert_eq!((manager.supervised(id).unwrap().refusal, platform.images.get()), (None, 1));
}

#[test]
fn a_crash_loop_delays_no_other_module() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let looping = options("backoff:1ms..1ms,255/1s");
    platform.results.borrow_mut().extend([Ok(0), Ok(0)]);
    let first = manager.load_with(&with_init(blob::small("first")), &looping).unwrap();
    let second = manager.load_with(&with_init(blob::small("second")), &looping).unwrap();
    let other = manager.load(&blob::small("other")).unwrap();
    fault(&platform, &manager, first);
    fault(&platform, &manager, second);
    for now in 1..100 {
        // One step at each call, and in turn.
        let module = if now % 2 == 1 { first } else { second };
        platform.results.borrow_mut().push_back(Err(FAULT));
        let before = manager.stats(module).unwrap().faults;
        assert_eq!(at(&platform, &manager, now), Some(if now == 1 { 1 } else { now }));
        assert_eq!((manager.stats(module).unwrap().faults, manager.execute(other)), (before + 1, Ok(42)), "{now}");
    }
    let inits = platform.reasons.borrow().iter().filter(|reason| **reason == Reason::Init).count();
    assert_eq!(inits, 2 + 99);
}

#[test]
fn waits_while_another_call_of_the_module_is_running() {
    let (platform, manager) = leaked_manager();
    let mut bytes = blob::full();
    blob::change_header(&mut bytes, |header| header.flags |= bareflow_abi::header::FLAG_REENTRANT);
    let id = manager.load_with(&bytes, &options("backoff")).unwrap();
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        assert_eq!(fault(platform, manager, id), Some(10));
        assert_eq!(at(platform, manager, 10), Some(30));
        platform.results.borrow_mut().push_back(Ok(7));
    }));
    assert_eq!(manager.execute(id), Ok(7));
    assert_eq!((at(platform, manager, 30), manager.execute(id)), (None, Ok(42)));
}

#[test]
fn rejects_what_needs_a_clock_where_there_is_none() {
    let platform = FakePlatform::default();
    platform.microseconds.set(None);
    let manager = manager(&platform);
    for policy in ["backoff", "fallback"] {
        let error = manager.load_with(&blob::full(), &options(policy)).unwrap_err();
        assert_eq!(error, LoadError::NoClock(FaultPolicy::parse(policy).unwrap()));
        assert!(error.to_string().starts_with("no clock here for the policy "), "{error}");
    }
    assert_eq!((platform.images.get(), manager.restart_due()), (0, None));
}

#[test]
fn returns_to_the_version_before() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let old = LoadOptions { sample_every: core::num::NonZeroU32::new(7).unwrap(), ..options("restart:0") };
    manager.load_with(&blob::version("net", 1, 2), &old).unwrap();
    let id = manager.replace(&blob::version("net", 1, 3), &options("fallback")).unwrap().id;
    assert_eq!(manager.supervised(id).unwrap().previous.unwrap().to_string(), "1.2.0");
    assert_eq!(fault(&platform, &manager, id), Some(0));
    assert_eq!(at(&platform, &manager, 1), None);
    let replaced = Occurrence::Replaced { version: [1, 3, 0], generation: 2 };
    assert_eq!(
        platform.traced.take().iter().map(|traced| traced.1).collect::<Vec<_>>(),
        [Occurrence::Stopped, replaced]
    );
    assert_eq!(manager.execute(id), Err(ExecuteError::NotLoaded));
    let id = manager.find("net").unwrap();
    let (profile, supervised) = (manager.stats(id).unwrap(), manager.supervised(id).unwrap());
    assert_eq!((profile.version.to_string(), profile.generation, profile.active), ("1.2.0".into(), 3, true));
    assert_eq!((profile.sample_every.get(), supervised.policy), (7, FaultPolicy::Fallback));
    let fell_back = supervised.fell_back.unwrap();
    assert_eq!((fell_back.from.to_string(), fell_back.fault), ("1.3.0".into(), Some(FAULT)));
    assert_eq!((manager.execute(id), platform.images.get()), (Ok(42), 1));
    // There is none before it.
    assert_eq!((fault(&platform, &manager, id), supervised.previous), (None, None));
    assert_eq!(manager.execute(id), Err(ExecuteError::Stopped(FAULT)));
    let told: Vec<_> = core::iter::from_fn(|| manager.take_notice()).map(|notice| notice.to_string()).collect();
    assert_eq!(
        told,
        [
            "net 1.3.0 faulted (divide at offset 0x0) and gives way to the version before it",
            "net 1.2.0 runs again, since 1.3.0 faulted",
            "net 1.2.0 faulted (divide at offset 0x0) and stays stopped",
        ]
    );
}

#[test]
fn returns_to_the_version_before_when_restarts_are_used_up() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let policy = options("backoff:10ms..1s,1/60s,fallback");
    manager.load_with(&blob::version("net", 1, 2), &policy).unwrap();
    let id = manager.replace(&blob::version("net", 1, 3), &policy).unwrap().id;
    assert_eq!(fault(&platform, &manager, id), Some(10));
    at(&platform, &manager, 10);
    assert_eq!(fault(&platform, &manager, id), Some(0));
    // What replaces a version that is stopped returns to the one before that.
    let id = manager.replace(&blob::version("net", 1, 4), &policy).unwrap().id;
    assert_eq!(manager.supervised(id).unwrap().previous.unwrap().to_string(), "1.2.0");
    assert_eq!((at(&platform, &manager, 20), manager.execute(id)), (None, Ok(42)));
    // One that runs is what its successor returns to.
    let id = manager.replace(&blob::version("net", 1, 5), &policy).unwrap().id;
    assert_eq!(manager.supervised(id).unwrap().previous.unwrap().to_string(), "1.4.0");
}

#[test]
fn stays_stopped_if_the_version_before_is_refused() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    platform.results.borrow_mut().push_back(Ok(0));
    manager.load_with(&with_init(blob::version("net", 1, 2)), &options("restart")).unwrap();
    let id = manager.replace(&blob::version("net", 1, 3), &options("fallback")).unwrap().id;
    fault(&platform, &manager, id);
    happenings(&manager);
    // Memory comes back, the module's `init` does not get better.
    platform.is_short.set(true);
    assert_eq!(at(&platform, &manager, 1), Some(11));
    assert!(matches!(manager.execute(id), Err(ExecuteError::Waiting { starts_in_us: 10_000, .. })));
    platform.is_short.set(false);
    platform.results.borrow_mut().push_back(Err(FAULT));
    assert_eq!(at(&platform, &manager, 11), None);
    assert_eq!(manager.execute(id), Err(ExecuteError::Stopped(FAULT)));
    assert_eq!(manager.supervised(id).unwrap().refusal, Some(LoadError::InitFaulted(FAULT)));
    let told = happenings(&manager);
    assert!(matches!(told[..], [Happening::Refused(_), Happening::Refused(_), Happening::Stopped(Some(FAULT))]));
    assert_eq!(platform.images.get(), 1);
}

#[test]
fn keeps_nothing_where_the_policy_does_not_ask_for_it() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let kept = |policy: &str| {
        let id = manager.replace(&blob::version("net", 1, 3), &options(policy)).unwrap().id;
        manager.supervised(id).and_then(|supervised| supervised.previous)
    };
    assert_eq!(kept("stop"), None);
    assert_eq!(kept("restart"), None);
    assert_eq!(kept("backoff"), None);
    assert!(kept("backoff:fallback").is_some());
    assert_eq!(kept("stop"), None);
    // One that left no blob behind may be given by the embedder.
    assert_eq!(kept("fallback"), None);
    let id = manager.find("net").unwrap();
    let given = blob::version("net", 1, 1);
    let gives = |bytes: &[u8]| manager.set_fallback(id, bytes, &LoadOptions::default(), "");
    assert_eq!(gives(&blob::version("other", 1, 1)), Err(RestartError::OtherBlob));
    assert!(matches!(gives(b"no module"), Err(RestartError::Load(_))));
    manager.set_fallback(id, &given, &LoadOptions::default(), "").unwrap();
    assert!(manager.set_fallback(id, b"no module", &LoadOptions::default(), "").is_ok(), "it has one");
    fault(&platform, &manager, id);
    at(&platform, &manager, 1);
    assert_eq!(gives(&given), Err(RestartError::NotLoaded));
    let id = manager.find("net").unwrap();
    assert_eq!(manager.stats(id).unwrap().version.to_string(), "1.1.0");
}

#[test]
fn leaves_the_choice_of_an_operator() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    manager.load_with(&blob::version("net", 1, 2), &options("restart")).unwrap();
    let id = manager.replace(&blob::version("net", 1, 3), &options("fallback")).unwrap().id;
    let beside = manager.load_versioned(&blob::version("net", 2, 0), &LoadOptions::default()).unwrap();
    fault(&platform, &manager, id);
    assert!(manager.activate(beside));
    assert_eq!(at(&platform, &manager, 1), None);
    assert_eq!(manager.find("net"), Some(beside));
    assert_eq!(manager.supervised(id).unwrap().refusal, Some(LoadError::Overtaken));
}

#[test]
fn restarts_on_purpose() {
    let platform = FakePlatform::default();
    let manager = manager(&platform);
    let bytes = blob::version("net", 1, 2);
    // Its blob is not kept.
    let id = manager.load(&bytes).unwrap();
    assert_eq!(manager.restart(id, None), Err(RestartError::NotKept));
    assert_eq!(manager.restart(id, Some(&blob::version("net", 1, 3))), Err(RestartError::OtherBlob));
    assert!(matches!(manager.restart(id, Some(b"no module")), Err(RestartError::Load(LoadError::Malformed(_)))));
    assert_eq!((manager.restart(id, Some(&bytes)), manager.execute(id)), (Ok(()), Ok(42)));
    platform.results.borrow_mut().push_back(Err(FAULT));
    assert_eq!(manager.execute(id), Err(ExecuteError::Faulted(FAULT)));
    assert_eq!((manager.restart(id, Some(&bytes)), manager.execute(id)), (Ok(()), Ok(42)));
    assert_eq!((manager.stats(id).unwrap().restarts, platform.images.get()), (2, 1));
    manager.unload(id).unwrap();
    assert_eq!(manager.restart(id, Some(&bytes)), Err(RestartError::NotLoaded));
    // It waits, and what its policy counts begins anew.
    let id = manager.load_with(&bytes, &options("backoff:10ms..1s,1/60s")).unwrap();
    for _ in 0..3 {
        assert_eq!(fault(&platform, &manager, id), Some(10));
        assert_eq!((manager.restart(id, None), manager.execute(id)), (Ok(()), Ok(42)));
        assert_eq!(at(&platform, &manager, 1000), None);
        assert_eq!((manager.supervised(id).unwrap().restarts_within_window, manager.execute(id)), (0, Ok(42)));
    }
    // A call is running.
    let pinned = manager.pin(id).unwrap();
    assert_eq!(manager.restart(id, None), Err(RestartError::Busy));
    drop(pinned);
    platform.is_short.set(true);
    let error = manager.restart(id, None).unwrap_err();
    assert!(matches!(error, RestartError::Load(error) if error.is_for_memory()));
    assert_eq!(manager.execute(id), Ok(42), "it is as it was");
}

#[test]
fn what_faulted_is_restarted_in_the_memory_that_it_has() {
    let platform = FakePlatform { refills: true.into(), capacity: 1, ..FakePlatform::default() };
    let manager = manager(&platform);
    for policy in ["restart", "restart:0", "backoff:1ms..1ms,9/60s"] {
        let blob = blob::full();
        let id = manager.load_with(&blob, &options(policy)).unwrap();
        let image =
            |id| manager.with_image(id, |image| (image.base, image.text.clone(), image.data.borrow().clone())).unwrap();
        let fresh = image(id);
        for round in 1..3 {
            if let Some(mut slot) = manager.registry.slot(id.index).unwrap().try_borrow_mut() {
                let image = &mut slot.as_deref_mut().unwrap().placed.image;
                image.text.fill(7);
                image.data.get_mut().fill(7);
            }
            platform.results.borrow_mut().push_back(Err(FAULT));
            assert_eq!(manager.execute(id), Err(ExecuteError::Faulted(FAULT)), "{policy}");
            match policy {
                "restart" => {}
                "restart:0" => assert_eq!(manager.restart(id, None), Ok(())),
                _ => assert_eq!(at(&platform, &manager, 1000 * round), None),
            }
            assert_eq!((image(id), manager.execute(id)), (fresh.clone(), Ok(42)), "{policy}");
            assert_eq!(manager.stats(id).unwrap().restarts, round as u32);
        }
        // One that goes on if it can't be restarted needs another image.
        assert!(matches!(manager.restart(id, None), Err(RestartError::Load(LoadError::Platform(_)))));
        assert_eq!(manager.execute(id), Ok(42));
        manager.unload(id).unwrap();
    }
}

#[test]
fn an_init_that_fails_in_the_old_memory_may_be_tried_again() {
    let platform = FakePlatform { refills: true.into(), capacity: 1, ..FakePlatform::default() };
    let manager = manager(&platform);
    platform.results.borrow_mut().push_back(Ok(0));
    let id = manager.load_with(&with_init(blob::full()), &options("restart:0")).unwrap();
    platform.results.borrow_mut().extend([Err(FAULT), Ok(1), Err(FAULT), Ok(0)]);
    assert!(manager.execute(id).is_err());
    assert_eq!(manager.restart(id, None), Err(RestartError::Load(LoadError::InitFailed { result: 1 })));
    assert_eq!(manager.restart(id, None), Err(RestartError::Load(LoadError::InitFaulted(FAULT))));
    assert_eq!(manager.execute(id), Err(ExecuteError::Stopped(FAULT)));
    assert_eq!((manager.restart(id, None), manager.execute(id)), (Ok(()), Ok(42)));
    manager.unload(id).unwrap();
    assert_eq!(platform.images.get(), 0);
}

#[test]
fn what_is_restarted_is_not_called_before_its_init_has_returned() {
    let (platform, manager) = leaked_manager();
    platform.results.borrow_mut().push_back(Ok(0));
    let id = manager.load_with(&with_init(blob::small("net")), &options("restart:0")).unwrap();
    for result in [Ok(1), Ok(0)] {
        platform.meanwhile.borrow_mut().push_back(std::boxed::Box::new(move || {
            assert_eq!(manager.execute(id), Err(ExecuteError::Busy));
            assert_eq!(manager.restart(id, None), Err(RestartError::Busy));
            assert_eq!(platform.images.get(), 2);
        }));
        platform.results.borrow_mut().push_back(result);
        assert_eq!(manager.restart(id, None).is_ok(), result == Ok(0));
        assert_eq!((manager.execute(id), platform.images.get()), (Ok(42), 1));
    }
}

#[test]
fn restarts_after_the_call_that_overlaps_the_faulting_one() {
    let (platform, manager) = leaked_manager();
    let mut bytes = blob::full();
    blob::change_header(&mut bytes, |header| header.flags |= bareflow_abi::header::FLAG_REENTRANT);
    let id = manager.load_with(&bytes, &options("restart:1")).unwrap();
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        platform.results.borrow_mut().push_back(Err(FAULT));
        assert_eq!(manager.execute(id), Err(ExecuteError::Faulted(FAULT)));
        assert_eq!(manager.execute(id), Err(ExecuteError::Stopped(FAULT)));
        platform.results.borrow_mut().push_back(Ok(7));
    }));
    assert_eq!(manager.execute(id), Ok(7));
    assert_eq!((manager.execute(id), manager.stats(id).unwrap().restarts), (Ok(42), 1));
    assert_eq!(platform.images.get(), 1);
}

#[test]
fn what_is_replaced_during_its_restart_ends_after_it() {
    let (platform, manager) = leaked_manager();
    let faults = |id| {
        platform.results.borrow_mut().push_back(Err(FAULT));
        assert!(manager.execute(id).is_err());
    };
    for init in [Ok(0), Ok(1), Err(FAULT)] {
        for (is_stopped, refills) in [(false, false), (true, false), (true, true)] {
            platform.refills.set(refills);
            platform.results.borrow_mut().push_back(Ok(0));
            let id = manager.load_with(&with_init(blob::full()), &options("restart:0")).unwrap();
            if is_stopped {
                faults(id);
            }
            platform.meanwhile.borrow_mut().push_back(Box::new(move || {
                platform.results.borrow_mut().push_back(Ok(0));
                manager.replace(&with_init(blob::full()), &options("restart:0")).unwrap();
                platform.results.borrow_mut().push_back(init);
            }));
            assert_eq!(manager.restart(id, None), Err(RestartError::NotLoaded));
            assert_eq!((platform.images.get(), manager.is_loaded(id)), (1, false), "{init:?}");
            let id = manager.find("full").unwrap();
            assert_eq!(manager.execute(id), Ok(42));
            manager.unload(id).unwrap();
            assert_eq!(platform.images.get(), 0);
        }
    }
}
