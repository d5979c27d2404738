use super::*;
use crate::error::{ExecuteError, SelectError, UnloadError};
use crate::fault::{Fault, FaultKind};
use crate::name::Name;
use crate::policy::LoadOptions;
use crate::testing::{blob, leaked_manager as manager};
use bareflow_abi::Reason;
use bareflow_abi::header::{FLAG_EXIT, FLAG_INIT, FLAG_REENTRANT};
use std::boxed::Box;
use std::vec::Vec;

const FAULT: Fault = Fault { kind: FaultKind::Divide, offset: Some(3), address: None };

fn options() -> LoadOptions {
    LoadOptions::default()
}

fn with_flags(mut bytes: Vec<u8>, flags: u32) -> Vec<u8> {
    blob::change_header(&mut bytes, |header| header.flags = flags);
    bytes
}

#[test]
fn replaces_a_module_and_takes_its_memory_back() {
    let (platform, manager) = manager();
    let old = manager.load(&blob::version("sort", 1, 0)).unwrap();
    assert_eq!(manager.execute(old), Ok(42));
    let reloaded = manager.replace(&blob::version("sort", 1, 1), &options()).unwrap();
    assert_eq!(manager.find("sort"), Some(reloaded.id));
    let replaced = reloaded.replaced.unwrap();
    assert_eq!((replaced.version.minor, replaced.generation), (0, 1));
    assert_eq!(replaced.receipt.unwrap().held.pages, 1);
    assert_eq!((platform.images.get(), manager.ids().count()), (1, 1));
    assert_eq!(manager.execute(old), Err(ExecuteError::NotLoaded));
    assert_eq!(manager.stats(reloaded.id).unwrap().generation, 2);
}

#[test]
fn loads_where_there_is_nothing_to_replace() {
    let (_, manager) = manager();
    let reloaded = manager.replace(&blob::small("sort"), &options()).unwrap();
    assert_eq!((reloaded.replaced, manager.find("sort")), (None, Some(reloaded.id)));
}

#[test]
fn calls_under_way_end_in_the_old_code() {
    let (platform, manager) = manager();
    let old = manager.load(&blob::version("sort", 1, 0)).unwrap();
    platform.meanwhile.borrow_mut().push_back(Box::new(|| {
        let reloaded = manager.replace(&blob::version("sort", 2, 0), &options()).unwrap();
        let replaced = reloaded.replaced.unwrap();
        assert_eq!((replaced.receipt, platform.images.get()), (None, 2));
        let states: Vec<_> = manager.profiles().map(|profile| (profile.retired, profile.active)).collect();
        assert_eq!(states, [(true, false), (false, true)]);
        assert_eq!(manager.execute(reloaded.id), Ok(42), "new calls run the new code at once");
    }));
    assert_eq!(manager.execute(old), Ok(42));
    assert_eq!((platform.images.get(), manager.ids().count()), (1, 1));
    let receipt = manager.take_receipt().unwrap();
    assert_eq!((receipt.version.major, receipt.returned.unwrap().pages), (1, 1));
    assert_eq!(manager.take_receipt(), None);
}

#[test]
fn the_last_of_overlapping_calls_ends_the_old_code() {
    let (platform, manager) = manager();
    let old = manager.load(&with_flags(blob::small("sort"), FLAG_REENTRANT)).unwrap();
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        platform.meanwhile.borrow_mut().push_back(Box::new(|| {
            manager.replace(&blob::version("sort", 2, 0), &options()).unwrap();
        }));
        assert_eq!(manager.execute(old), Ok(42), "the inner call");
        assert_eq!((platform.images.get(), manager.take_receipt()), (2, None));
    }));
    assert_eq!(manager.execute(old), Ok(42), "the outer call");
    assert!(platform.images.get() == 1 && manager.take_receipt().is_some());
}

#[test]
fn no_receipt_of_calls_within_calls_is_lost() {
    let (platform, manager) = manager();
    let ids = ["outer", "inner"].map(|name| manager.load(&blob::version(name, 1, 0)).unwrap());
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        platform.meanwhile.borrow_mut().push_back(Box::new(|| {
            for name in ["outer", "inner"] {
                manager.replace(&blob::version(name, 2, 0), &options()).unwrap();
            }
        }));
        assert_eq!(manager.execute(ids[1]), Ok(42));
    }));
    assert_eq!(manager.execute(ids[0]), Ok(42));
    let receipts = std::iter::from_fn(|| manager.take_receipt());
    let names: Vec<_> = receipts.map(|receipt| receipt.name).collect();
    assert_eq!(names.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["inner", "outer"]);
}

#[test]
fn a_replaced_module_that_faults_is_gone_all_the_same() {
    let (platform, manager) = manager();
    let old = manager.load(&blob::small("sort")).unwrap();
    platform.results.borrow_mut().push_back(Err(FAULT));
    platform.meanwhile.borrow_mut().push_back(Box::new(|| {
        manager.replace(&blob::version("sort", 2, 0), &options()).unwrap();
    }));
    assert_eq!(manager.execute(old), Err(ExecuteError::Faulted(FAULT)));
    assert_eq!((platform.images.get(), manager.ids().count()), (1, 1));
}

#[test]
fn the_old_one_goes_on_when_the_new_one_is_refused() {
    let (platform, manager) = manager();
    let old = manager.load(&blob::version("sort", 1, 0)).unwrap();
    let bad = with_flags(blob::version("sort", 2, 0), FLAG_INIT);
    platform.results.borrow_mut().extend([Err(FAULT), Ok(7)]);
    assert_eq!(manager.replace(&bad, &options()), Err(LoadError::InitFaulted(FAULT)));
    assert_eq!(manager.replace(&bad, &options()), Err(LoadError::InitFailed { result: 7 }));
    assert!(manager.replace(&blob::version("sort", 2, 0)[..100], &options()).is_err());
    assert_eq!((manager.find("sort"), manager.execute(old)), (Some(old), Ok(42)));
    assert_eq!((platform.images.get(), manager.stats(old).unwrap().generation), (1, 1));
}

#[test]
fn exit_is_called_behind_the_switch() {
    let (platform, manager) = manager();
    manager.load(&with_flags(blob::small("sort"), FLAG_EXIT)).unwrap();
    platform.results.borrow_mut().extend([Ok(0), Err(FAULT)]);
    let reloaded = manager.replace(&with_flags(blob::small("sort"), FLAG_INIT), &options()).unwrap();
    assert_eq!(*platform.reasons.borrow(), [Reason::Init, Reason::Exit]);
    assert_eq!(reloaded.replaced.unwrap().receipt.unwrap().exit_fault, Some(FAULT));
}

#[test]
fn versions_live_side_by_side() {
    let (_, manager) = manager();
    let first = manager.load(&blob::version("sort", 1, 2)).unwrap();
    let second = manager.load_versioned(&blob::version("sort", 2, 0), &options()).unwrap();
    let third = manager.load_versioned(&blob::version("sort", 1, 9), &options()).unwrap();
    assert!(matches!(
        manager.load_versioned(&blob::version("sort", 1, 9), &options()),
        Err(LoadError::AlreadyLoaded { .. })
    ));
    assert_eq!(manager.find("sort"), Some(first));
    for (selector, expected) in [("sort@1.2.0", first), ("sort@^1", third), ("sort@^2", second), ("sort@*", second)] {
        assert_eq!(manager.find(selector), Some(expected), "{selector}");
    }
    assert!(manager.activate(second));
    assert_eq!(manager.find("sort"), Some(second));
    assert_eq!(manager.unload(second).unwrap().version.major, 2);
    assert_eq!(manager.find("sort"), Some(third), "the highest of the others");
    assert!(!manager.activate(second));
    assert!(manager.unload(third).is_ok() && manager.unload(first).is_ok());
    assert_eq!(manager.find("sort"), None);
}

#[test]
fn rejects_selectors_that_mean_nothing() {
    let (_, manager) = manager();
    manager.load(&blob::small("sort")).unwrap();
    for (selector, expected) in [
        ("Sort", SelectError::Name),
        ("@1", SelectError::Name),
        ("sort@one", SelectError::Requirement),
        ("sum", SelectError::NoSuchName),
        ("sum@1", SelectError::NoSuchName),
        ("sort@^2", SelectError::NoSuchVersion),
    ] {
        assert_eq!(manager.select(selector), Err(expected), "{selector}");
    }
}

#[test]
fn rejects_the_unload_of_a_module_that_runs() {
    let (platform, manager) = manager();
    let id = manager.load(&blob::small("sort")).unwrap();
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        let name = Name::new("sort").unwrap();
        let version = Version { major: 1, minor: 0, patch: 0 };
        assert_eq!(manager.unload(id), Err(UnloadError::Busy { name, version }));
    }));
    assert_eq!(manager.execute(id), Ok(42));
    assert_eq!(manager.unload(id).unwrap().returned.unwrap().pages, 1);
}

#[test]
fn places_are_used_again() {
    let (platform, manager) = manager();
    for round in 0..1000 {
        manager.replace(&blob::version("sort", 1 + round % 2, 0), &options()).unwrap();
        let id = manager.load(&blob::small("sum")).unwrap();
        assert!(manager.unload(id).is_ok());
    }
    assert_eq!((platform.images.get(), manager.ids().count()), (1, 1));
    assert!(manager.find("sort").unwrap().index < 3);
}

#[test]
fn a_load_that_fails_inside_of_another_one_takes_no_name_away() {
    let (platform, manager) = manager();
    let initialised = || with_flags(blob::small("sort"), FLAG_INIT);
    platform.results.borrow_mut().push_back(Ok(0));
    platform.meanwhile.borrow_mut().push_back(Box::new(move || {
        platform.results.borrow_mut().push_front(Ok(1));
        assert_eq!(manager.load(&initialised()), Err(LoadError::InitFailed { result: 1 }));
    }));
    let id = manager.load(&initialised()).unwrap();
    assert_eq!((manager.find("sort"), manager.stats(id).unwrap().generation), (Some(id), 1));
}
