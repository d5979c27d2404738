use super::*;
use crate::Timing;
use crate::error::UnloadError;
use crate::fault::{Fault, FaultKind};
use crate::policy::{Domain, LoadOptions};
use crate::testing::blob::{depending, version};
use crate::testing::{self, FakePlatform, Inside, LeakedManager as Manager, leaked_manager as manager};
use bareflow_abi::CallRefusal;
use bareflow_abi::header::{FLAG_INIT, FLAG_REENTRANT};
use std::boxed::Box;
use std::string::ToString;
use std::vec::Vec;

const FAULT: Fault = Fault { kind: FaultKind::Divide, offset: Some(3), address: None };

fn options() -> LoadOptions {
    LoadOptions::default()
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn range(from: u32, below: u32) -> VersionRange {
    let version = |major| Version { major, minor: 0, patch: 0 };
    VersionRange { from: version(from), below: Some(version(below)) }
}

/// Makes the next module with dependencies call `whom`, and checks what that call gives.
fn calls(whom: &'static str, expected: Result<i32, CallRefusal>) -> Inside {
    Box::new(move |callees| {
        let done = callees.call(whom.as_bytes(), b"in", &mut []);
        assert_eq!(done.map(|outcome| outcome.result), expected, "{whom}");
    })
}

#[test]
fn calls_what_is_declared_and_nothing_else() {
    let (platform, manager) = manager();
    let sum = manager.load(&version("sum", 1, 0)).unwrap();
    manager.load(&version("other", 1, 0)).unwrap();
    let caller = manager.load(&depending("caller", 1, 0, &[("sum", 1, 2)])).unwrap();
    platform.inside.borrow_mut().extend([
        calls("sum", Ok(7)),
        calls("other", Err(CallRefusal::NotDeclared)),
        calls("", Err(CallRefusal::NotDeclared)),
    ]);
    platform.results.borrow_mut().extend([Ok(7), Ok(8)]);
    assert_eq!(manager.execute(caller), Ok(8));
    assert_eq!((manager.execute(caller), manager.execute(caller)), (Ok(42), Ok(42)));
    let [sum, caller] = [sum, caller].map(|id| manager.stats(id).unwrap());
    assert_eq!((sum.call_count, caller.call_count, sum.last_result), (1, 3, Some(7)));
    assert!(platform.inside.borrow().is_empty());
}

#[test]
fn a_reload_rebinds_by_itself() {
    let (platform, manager) = manager();
    manager.load(&version("sum", 1, 0)).unwrap();
    let caller = manager.load(&depending("caller", 1, 0, &[("sum", 1, 3)])).unwrap();
    let calls_of = |version: &str| {
        let id = manager.select(&std::format!("sum@{version}")).unwrap();
        manager.stats(id).unwrap().call_count
    };
    let call = || {
        platform.inside.borrow_mut().push_back(calls("sum", Ok(42)));
        manager.execute(caller).unwrap();
    };
    call();
    manager.replace(&version("sum", 1, 1), &options()).unwrap();
    call();
    assert_eq!(calls_of("1.1.0"), 1);
    // The active version is out of range, so the highest one within it is called.
    let four = manager.load_versioned(&version("sum", 4, 0), &options()).unwrap();
    manager.load_versioned(&version("sum", 2, 0), &options()).unwrap();
    assert!(manager.activate(four));
    call();
    assert_eq!([calls_of("1.1.0"), calls_of("2.0.0"), calls_of("4.0.0")], [1, 1, 0]);
}

#[test]
fn rejects_what_is_missing() {
    let (platform, manager) = manager();
    let needs = depending("caller", 1, 0, &[("sum", 2, 3)]);
    let missing = LoadError::MissingDependency { name: name("sum"), versions: range(2, 3) };
    assert_eq!(manager.load(&needs), Err(missing));
    manager.load(&version("sum", 1, 0)).unwrap();
    assert_eq!(manager.replace(&needs, &options()).unwrap_err(), missing);
    assert!(missing.to_string().contains("no version >=2.0.0, <3.0.0 of sum"), "{missing}");
    assert_eq!((platform.images.get(), manager.ids().count()), (1, 1));
    // A version that can't be found by its name won't do either.
    manager.load_candidate(&version("sum", 2, 0), &options()).unwrap();
    assert_eq!(manager.load(&needs), Err(missing));
}

#[test]
fn rejects_a_load_whose_dependency_went_meanwhile() {
    let (platform, manager) = manager();
    let sum = manager.load(&version("sum", 1, 0)).unwrap();
    let mut needs = depending("caller", 1, 0, &[("sum", 1, 2)]);
    crate::testing::blob::change_header(&mut needs, |header| header.flags = FLAG_INIT);
    platform.inside.borrow_mut().push_back(Box::new(move |_| assert!(manager.unload(sum).is_ok())));
    platform.results.borrow_mut().push_back(Ok(0));
    assert_eq!(manager.load(&needs), Err(LoadError::MissingDependency { name: name("sum"), versions: range(1, 2) }));
    assert_eq!((platform.images.get(), manager.ids().count()), (0, 0));
}

#[test]
fn keeps_what_others_need() {
    let (_, manager) = manager();
    let sum = manager.load(&version("sum", 1, 0)).unwrap();
    let first = manager.load(&depending("first", 1, 0, &[("sum", 1, 2)])).unwrap();
    let second = manager.load(&depending("second", 1, 0, &[("sum", 1, 9)])).unwrap();
    let error = manager.unload(sum).unwrap_err();
    assert!(matches!(error, UnloadError::Needed { by, .. } if by == name("first")), "{error}");
    assert_eq!(manager.dependents(sum).collect::<Vec<_>>(), [first, second]);
    // Another version satisfies one of them, but not both.
    manager.load_versioned(&version("sum", 3, 0), &options()).unwrap();
    assert_eq!(manager.dependents(sum).collect::<Vec<_>>(), [first]);
    let error = manager.replace(&version("sum", 2, 0), &options()).unwrap_err();
    assert_eq!(error, LoadError::StillNeeded { by: name("first"), versions: range(1, 2) });
    assert!(manager.replace(&version("sum", 1, 5), &options()).is_ok());
    let sum = manager.find("sum").unwrap();
    assert_eq!(manager.unload(first).unwrap().bindings, 1);
    assert_eq!(manager.unload(sum).unwrap().bindings, 0);
    assert_eq!(manager.unload(second).map(|receipt| receipt.bindings), Ok(1));
}

#[test]
fn counts_the_list_among_what_a_module_holds() {
    let (_, manager) = manager();
    manager.load(&version("sum", 1, 0)).unwrap();
    manager.load(&version("total", 1, 0)).unwrap();
    let both = manager.load(&depending("both", 1, 0, &[("sum", 1, 2), ("total", 1, 2)])).unwrap();
    let one = manager.load(&depending("one", 1, 0, &[("sum", 1, 2)])).unwrap();
    let none = manager.load(&version("none", 1, 0)).unwrap();
    let held = [both, one, none].map(|id| manager.stats(id).unwrap().memory.table_bytes);
    assert_eq!(held[0] - held[1], 1 + 5 + 24);
    assert!(held[1] - held[2] > 1 + 3 + 24 && held[2] == 0);
}

#[test]
fn rejects_a_circle_and_shows_it() {
    let (platform, manager) = manager();
    manager.load(&version("c", 1, 0)).unwrap();
    manager.load(&depending("b", 1, 0, &[("c", 1, 9)])).unwrap();
    manager.load(&depending("a", 1, 0, &[("c", 1, 9), ("b", 1, 2)])).unwrap();
    let circle = depending("c", 2, 0, &[("a", 1, 2)]);
    let refused = Err(LoadError::DependencyCycle { name: name("a") });
    assert_eq!(manager.replace(&circle, &options()).map(|_| ()), refused);
    assert_eq!(manager.load_versioned(&circle, &options()).map(|_| ()), refused);
    assert_eq!(manager.dependency_cycle(&circle).unwrap().to_string(), "c -> a -> c");
    let longer = depending("c", 2, 0, &[("d", 1, 2)]);
    manager.load(&depending("d", 1, 0, &[("b", 1, 2)])).unwrap();
    assert_eq!(manager.dependency_cycle(&longer).unwrap().to_string(), "c -> d -> b -> c");
    // A version that none of the modules in between would call makes no cycle.
    let beyond = depending("c", 9, 0, &[("a", 1, 2)]);
    assert!(manager.load_versioned(&beyond, &options()).is_ok());
    assert!(manager.dependency_cycle(&beyond).is_none());
    assert_eq!(platform.images.get(), 5);
}

#[test]
fn rejects_a_candidate_that_would_close_a_circle_by_now() {
    let (_, manager) = manager();
    manager.load(&version("b", 1, 0)).unwrap();
    manager.load(&version("a", 1, 0)).unwrap();
    let candidate = manager.load_candidate(&depending("b", 1, 1, &[("a", 1, 2)]), &options()).unwrap();
    manager.replace(&depending("a", 1, 1, &[("b", 1, 2)]), &options()).unwrap();
    assert_eq!(manager.promote(candidate).unwrap_err(), LoadError::DependencyCycle { name: name("a") });
    assert_eq!(manager.unload(candidate).unwrap().bindings, 1);
}

#[test]
fn contains_a_callee_that_faults() {
    let (platform, manager) = manager();
    let sum = manager.load(&version("sum", 1, 0)).unwrap();
    let caller = manager.load(&depending("caller", 1, 0, &[("sum", 1, 2)])).unwrap();
    platform.results.borrow_mut().push_back(Err(FAULT));
    for _ in 0..2 {
        platform.inside.borrow_mut().push_back(calls("sum", Err(CallRefusal::Faulted)));
        assert_eq!(manager.execute(caller), Ok(42));
    }
    let sum = manager.stats(sum).unwrap();
    assert_eq!((sum.stopped, sum.faults, sum.fault), (true, 1, Some(FAULT)));
}

#[test]
fn refuses_a_callee_that_is_running() {
    for (flags, domain, expected) in [
        (0, Domain::Kernel, Err(CallRefusal::Busy)),
        (FLAG_REENTRANT, Domain::Kernel, Ok(42)),
        // The modules of one address space share one stack.
        (FLAG_REENTRANT, Domain::User, Err(CallRefusal::Busy)),
    ] {
        let platform: &_ = Box::leak(Box::new(FakePlatform { has_user: true, ..FakePlatform::default() }));
        let manager: &Manager = Box::leak(Box::new(testing::manager(platform, Timing::Precise)));
        let mut sum = version("sum", 1, 0);
        crate::testing::blob::change_header(&mut sum, |header| header.flags = flags);
        let id = manager.load_with(&sum, &LoadOptions { domain, ..options() }).unwrap();
        let caller = manager.load(&depending("caller", 1, 0, &[("sum", 1, 2)])).unwrap();
        platform.inside.borrow_mut().push_back(calls("sum", expected));
        platform.meanwhile.borrow_mut().push_back(Box::new(move || assert_eq!(manager.execute(caller), Ok(42))));
        assert_eq!(manager.execute(id), Ok(42));
    }
}

#[test]
fn refuses_calls_that_lie_too_deep() {
    let (platform, manager) = manager();
    let mut bytes = version("m9", 1, 0);
    let mut last = manager.load(&bytes).unwrap();
    for number in (0..9).rev() {
        let callee = std::format!("m{}", number + 1);
        bytes = depending(&std::format!("m{number}"), 1, 0, &[(&callee, 1, 2)]);
        last = manager.load(&bytes).unwrap();
    }
    let names = ["m1", "m2", "m3", "m4"];
    platform.inside.borrow_mut().extend(names.map(|name| calls(name, Ok(42))));
    platform.inside.borrow_mut().push_back(calls("m5", Err(CallRefusal::TooDeep)));
    assert_eq!(manager.execute(last), Ok(42));
    assert!(platform.inside.borrow().is_empty());
}
