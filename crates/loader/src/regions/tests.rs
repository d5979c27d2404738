use std::boxed::Box;
use std::vec::Vec;

use bareflow_abi::interface::bindings::{NewEntry, encode, encoded_size};
use bareflow_abi::interface::{Frame, Reply, Target, client};
use bareflow_abi::record::BINDINGS;
use bareflow_regions::{Access, RegionError, Regions, RegionsClient, View};

use crate::Timing;
use crate::error::{ImportError, LoadError};
use crate::fault::{Fault, FaultKind};
use crate::module::ModuleId;
use crate::module::receipt::Receipt;
use crate::platform::Callees;
use crate::policy::{Domain, FaultPolicy, LoadOptions};
use crate::testing::blob::{self, add_record};
use crate::testing::{self, FakePlatform, LeakedManager as Manager, leaked_manager as manager};

const FAULT: Fault = Fault { kind: FaultKind::Divide, offset: Some(0), address: None };

/// Returns a blob that imports `regions`.
fn importer(name: &str, minor: u32) -> Vec<u8> {
    let entries = [NewEntry::of::<dyn Regions>("regions")];
    let mut bytes = blob::version(name, 1, minor);
    add_record(&mut bytes, BINDINGS, &encode::<512>(&entries)[..encoded_size(&entries)]);
    bytes
}

/// The import of a module that runs.
struct Import<'call>(&'call dyn Callees);

impl Target for Import<'_> {
    fn invoke(&self, method: u32, frame: &mut Frame<'_>) -> Reply {
        self.0.invoke(0, method, frame)
    }
}

type Platform = &'static FakePlatform;

/// Lets the module `id` do `work` with regions, within a call.
#[track_caller]
fn within<T: 'static>(
    (platform, manager): (Platform, &'static Manager),
    id: ModuleId,
    work: impl FnOnce(RegionsClient<'_>, &dyn Callees) -> T + 'static,
) -> T {
    let done: &'static _ = Box::leak(Box::new(core::cell::Cell::new(None)));
    platform.inside.borrow_mut().push_front(Box::new(move |callees| {
        done.set(Some(work(client::<dyn Regions, _>(&Import(callees)), callees)));
    }));
    let _ = manager.execute(id);
    done.take().expect("it was called")
}

fn open(mut regions: RegionsClient<'_>, region: u32, access: Access) -> Result<View, RegionError> {
    let mut view = View::default();
    regions.open(region, access, &mut view).map(|()| view)
}

/// Two modules that import `regions`.
fn two() -> ((Platform, &'static Manager), [ModuleId; 2]) {
    let (platform, manager) = manager();
    ((platform, manager), ["a", "b"].map(|name| manager.load(&importer(name, 0)).unwrap()))
}

/// The mappings of regions: those that can be written, and the others.
fn mapped(platform: Platform) -> (usize, usize) {
    let mappings = platform.region_mappings.borrow();
    let writable = mappings.iter().filter(|mapping| mapping.2).count();
    (writable, mappings.len() - writable)
}

/// Returns whether all pages that a module held came back; this platform counts no tables.
fn is_balanced(receipt: &Receipt) -> bool {
    receipt.returned.is_some_and(|returned| returned.pages == receipt.held.pages)
}

use Access::{Exclusive, ReadOnly, Shared};

#[test]
fn only_the_loader_provides_regions() {
    let (_, manager) = manager();
    let mut lying = blob::version("liar", 1, 0);
    let entries =
        [NewEntry { role: bareflow_abi::interface::bindings::Role::Export, ..NewEntry::of::<dyn Regions>("") }];
    add_record(&mut lying, BINDINGS, &encode::<512>(&entries)[..encoded_size(&entries)]);
    manager.load(&lying).unwrap();
    let user = manager.load(&importer("user", 0)).unwrap();
    manager.for_each_import(user, |_, provider| {
        assert!(matches!(provider, Some(crate::Provider::Embedder(name)) if name.as_str() == "loader"), "{provider:?}");
    });
    let told = LoadOptions::default();
    let refused = manager.replace(&importer("user", 1), told.with_parameters(&"bind user.regions=liar"));
    assert!(matches!(refused, Err(LoadError::Import { error: ImportError::NotExported { .. }, .. })), "{refused:?}");
}

#[test]
fn an_exclusive_lend_moves_a_region() {
    let (both, [a, b]) = two();
    let platform = both.0;
    let (region, address) = within(both, a, |mut regions, callees| {
        let region = regions.create(5000).unwrap();
        let view = open(regions, region, Exclusive).unwrap();
        assert_eq!(view.bytes, 8192);
        let find = |offset: u64, length, write| callees.find_in_region(view.address + offset, length, write);
        let start = find(0, 8192, true).unwrap();
        assert_eq!((find(8191, 1, false), find(0, 8193, false), find(8192, 1, true)), (Some(start + 8191), None, None));
        assert_eq!(open(regions, region, Exclusive), Err(RegionError::Open));
        assert_eq!(regions.lend(region, "b", Exclusive), Err(RegionError::Open));
        assert_eq!(regions.destroy(region), Err(RegionError::Open));
        assert_eq!(regions.close(region, view.key + 1), Err(RegionError::NotOpen));
        regions.close(region, view.key).unwrap();
        assert_eq!(regions.close(region, view.key), Err(RegionError::NotOpen));
        assert_eq!(find(0, 1, false), None, "it is closed");
        regions.lend(region, "b", Exclusive).unwrap();
        assert_eq!(open(regions, region, Exclusive), Err(RegionError::Lent));
        assert_eq!(regions.lend(region, "b", Exclusive), Err(RegionError::Lent));
        assert_eq!(regions.destroy(region), Err(RegionError::Lent));
        assert_eq!(regions.give_back(region), Err(RegionError::NotLent));
        (region, view.address)
    });
    assert_eq!(mapped(platform), (0, 0), "it is unmapped at the lender");
    within(both, b, move |mut regions, callees| {
        assert_eq!(callees.find_in_region(address, 1, false), None);
        assert_eq!(open(regions, region, Shared), Err(RegionError::OtherAccess));
        let view = open(regions, region, Exclusive).unwrap();
        assert!(callees.find_in_region(view.address, 1, true).is_some());
        for error in [regions.lend(region, "a", Exclusive), regions.take_back(region), regions.destroy(region)] {
            assert_eq!(error, Err(RegionError::NotOwner));
        }
        assert_eq!(regions.give_back(region), Err(RegionError::Open));
        regions.close(region, view.key).unwrap();
    });
    assert_eq!(mapped(platform), (1, 0), "it stays mapped for the next time");
    within(both, a, move |mut regions, _| {
        regions.take_back(region).unwrap();
        assert_eq!(regions.take_back(region), Err(RegionError::NotLent));
    });
    assert_eq!(mapped(platform), (0, 0), "nothing stays mapped behind it");
    within(both, b, move |mut regions, _| {
        for error in [open(regions, region, Exclusive).map(|_| ()), regions.give_back(region), regions.close(region, 1)]
        {
            assert_eq!(error, Err(RegionError::NoSuchRegion));
        }
    });
    within(both, a, move |mut regions, _| {
        open(regions, region, Exclusive).unwrap();
        assert_eq!(regions.destroy(region), Err(RegionError::Open));
    });
    // The module that never closed it can go all the same.
    assert!(is_balanced(&both.1.unload(a).unwrap()));
    assert_eq!((mapped(platform), platform.region_pages.get()), ((0, 0), 0));
}

#[test]
fn a_borrower_learns_whose_region_it_has() {
    let (both, [a, b]) = two();
    let region = within(both, a, |mut regions, _| {
        let region = regions.create(1).unwrap();
        assert_eq!(regions.lender(region), Err(RegionError::NotLent));
        regions.lend(region, "b", Shared).unwrap();
        region
    });
    let [first, second] = [a, b]
        .map(|id| both.1.get(id).unwrap().metadata.interfaces().map(|interfaces| interfaces.caller.get()).unwrap());
    assert!(first != 0 && first != second);
    within(both, b, move |regions, _| {
        assert_eq!((regions.lender(region), regions.lender(region + 1)), (Ok(first), Err(RegionError::NoSuchRegion)));
    });
    within(both, a, move |mut regions, _| regions.take_back(region).unwrap());
    within(both, b, move |regions, _| assert_eq!(regions.lender(region), Err(RegionError::NoSuchRegion)));
}

#[test]
fn several_read_or_share_a_region() {
    let (both, [a, b]) = two();
    let c = both.1.load(&importer("c", 0)).unwrap();
    for access in [ReadOnly, Shared] {
        let region = within(both, a, move |mut regions, _| {
            let region = regions.create(1).unwrap();
            let view = open(regions, region, Exclusive).unwrap();
            regions.close(region, view.key).unwrap();
            regions.lend(region, "b", access).unwrap();
            for (to, access) in
                [("b", access), ("c", Exclusive), ("c", if access == Shared { ReadOnly } else { Shared })]
            {
                assert_eq!(regions.lend(region, to, access), Err(RegionError::Lent));
            }
            regions.lend(region, "c", access).unwrap();
            let view = open(regions, region, access).unwrap();
            regions.close(region, view.key).unwrap();
            region
        });
        within(both, b, move |regions, callees| {
            assert_eq!(open(regions, region, Exclusive), Err(RegionError::OtherAccess));
            let view = open(regions, region, access).unwrap();
            // What others write is lent as no slice.
            let [to_read, to_write] = [false, true].map(|write| callees.find_in_region(view.address, 1, write));
            assert_eq!((to_read.is_some(), to_write), (access == ReadOnly, None));
            // Others may have it open at the same time.
            within(both, c, move |mut regions, _| {
                open(regions, region, access).unwrap();
                assert_eq!(regions.take_back(region), Err(RegionError::NotOwner));
            });
            within(both, a, move |mut regions, _| {
                let view = open(regions, region, access).unwrap();
                assert_eq!(regions.take_back(region), Err(RegionError::Open), "b has it open, and runs");
                regions.close(region, view.key).unwrap();
            });
            let mut regions = regions;
            regions.close(region, view.key).unwrap();
        });
        assert_eq!(mapped(both.0), if access == Shared { (3, 0) } else { (0, 3) });
        // The module c never closed it, but does not run.
        within(both, a, move |mut regions, _| regions.take_back(region)).unwrap();
        assert_eq!(mapped(both.0), if access == Shared { (1, 0) } else { (0, 1) });
        within(both, a, move |mut regions, _| regions.destroy(region)).unwrap();
        assert_eq!((mapped(both.0), both.0.region_pages.get()), ((0, 0), 0));
    }
}

#[test]
fn rejects_what_there_is_not() {
    let (both, [a, _]) = two();
    both.1.load(&blob::small("other")).unwrap();
    let [user, stopped] = ["user", "stopped"].map(|name| {
        let domain = if name == "user" { Domain::User } else { Domain::Kernel };
        both.1.load_with(&importer(name, 0), &LoadOptions { domain, ..LoadOptions::default() })
    });
    assert!(user.is_err(), "this platform has no user domain");
    both.0.results.borrow_mut().push_back(Err(FAULT));
    assert!(both.1.execute(stopped.unwrap()).is_err());
    within(both, a, |mut regions, _| {
        let region = regions.create(1).unwrap();
        for (to, error) in [
            ("a", RegionError::ToItself),
            ("none", RegionError::NoSuchModule),
            ("stopped", RegionError::NoSuchModule),
            ("Not a name", RegionError::NoSuchModule),
            ("", RegionError::NoSuchModule),
            ("other", RegionError::NotAnImporter),
        ] {
            assert_eq!(regions.lend(region, to, Shared), Err(error), "{to}");
        }
        for number in [0, region + 1, u32::MAX] {
            let view = open(regions, number, Exclusive).map(|_| ());
            let others = [regions.lend(number, "b", Shared), regions.take_back(number), regions.give_back(number)];
            for error in others.into_iter().chain([view, regions.destroy(number), regions.close(number, 1)]) {
                assert_eq!(error, Err(RegionError::NoSuchRegion), "{number}");
            }
        }
        assert_eq!(regions.take_back(region), Err(RegionError::NotLent));
    });
    // A guard is made of an import's answer alone, which the loader gives.
    within(both, a, |regions, _| assert_eq!(regions.exclusive(1).err(), Some(RegionError::Unsupported)));
}

#[test]
fn rejects_a_domain_without_regions() {
    let platform: &_ = Box::leak(Box::new(FakePlatform { has_user: true, ..FakePlatform::default() }));
    let both = (platform, &*Box::leak(Box::new(testing::manager(platform, Timing::Precise))));
    let a = both.1.load(&importer("a", 0)).unwrap();
    let options = LoadOptions { domain: Domain::User, ..LoadOptions::default() };
    let user = both.1.load_with(&importer("user", 0), &options).unwrap();
    within(both, user, |mut regions, _| assert_eq!(regions.create(1), Err(RegionError::Unsupported)));
    within(both, a, |mut regions, _| {
        let region = regions.create(1).unwrap();
        assert_eq!(regions.lend(region, "user", Shared), Err(RegionError::Unsupported));
    });
}

#[test]
fn a_platform_learns_who_imports_regions() {
    let (_, manager) = manager();
    for (blob, imports_them) in [(importer("a", 0), true), (blob::small("other"), false)] {
        let id = manager.load(&blob).unwrap();
        assert_eq!(manager.get(id).unwrap().placed.image.imports_regions, imports_them);
    }
}

#[test]
fn a_module_owns_no_more_than_it_may() {
    let (both, [a, b]) = two();
    both.1.set_region_limit(10 * 4096);
    within(both, a, |mut regions, _| {
        for bytes in [0, 10 * 4096 + 1, 1 << 44, u64::MAX] {
            assert_eq!(regions.create(bytes), Err(RegionError::TooLarge), "{bytes}");
        }
        let first = regions.create(10 * 4096).unwrap();
        assert_eq!(regions.create(1), Err(RegionError::TooLarge));
        regions.destroy(first).unwrap();
        regions.create(9 * 4096).unwrap();
        regions.create(1).unwrap();
    });
    assert_eq!((both.1.region_bytes(a), both.1.region_bytes(b)), (10 * 4096, 0));
    // What is lent counts against its owner.
    within(both, b, |mut regions, _| regions.create(10 * 4096)).unwrap();
    both.1.set_region_limit(u64::MAX);
    let count = within(both, b, |mut regions, _| (0..100).take_while(|_| regions.create(1).is_ok()).count());
    assert_eq!(count, super::MAX_REGIONS - 1);
    for id in [a, b] {
        let receipt = both.1.unload(id).unwrap();
        assert!(is_balanced(&receipt) && receipt.held.pages > 10, "{receipt:?}");
    }
    assert_eq!(both.0.region_pages.get(), 0);
}

#[test]
fn memory_that_runs_out_anywhere_refuses_and_loses_nothing() {
    let (both, [a, b]) = two();
    let none = [[0, u64::MAX], [2, u64::MAX]];
    for capacity in none {
        both.0.region_capacity.set(capacity);
        assert_eq!(within(both, a, |mut regions, _| regions.create(3 * 4096)), Err(RegionError::NoMemory));
        assert_eq!((both.0.region_pages.get(), both.1.region_bytes(a)), (0, 0));
    }
    both.0.region_capacity.set([3, 0]);
    let region = within(both, a, |mut regions, _| {
        let region = regions.create(3 * 4096).unwrap();
        assert_eq!(open(regions, region, Exclusive), Err(RegionError::NoMemory));
        regions.lend(region, "b", ReadOnly).unwrap();
        region
    });
    assert_eq!(within(both, b, move |regions, _| open(regions, region, ReadOnly)), Err(RegionError::NoMemory));
    both.0.region_capacity.set([3, 1]);
    within(both, b, move |regions, _| open(regions, region, ReadOnly)).unwrap();
    assert_eq!(within(both, a, move |regions, _| open(regions, region, ReadOnly)), Err(RegionError::NoMemory));
    assert_eq!(mapped(both.0), (0, 1));
    within(both, a, move |mut regions, _| regions.take_back(region)).unwrap();
    within(both, a, move |regions, _| open(regions, region, Exclusive)).unwrap();
    assert!(is_balanced(&both.1.unload(a).unwrap()));
    assert_eq!((mapped(both.0), both.0.region_pages.get()), ((0, 0), 0));
}

/// Lets `a` own one region that is lent to `b`, and `b` one that is lent to `a`, both of which `a` and `b` have opened.
fn lend_both_ways(both: (Platform, &'static Manager), [a, b]: [ModuleId; 2], access: Access) -> [u32; 2] {
    let make = |to: &'static str| {
        move |mut regions: RegionsClient<'_>, _: &dyn Callees| {
            let region = regions.create(2 * 4096).unwrap();
            regions.lend(region, to, access).unwrap();
            region
        }
    };
    let numbers = [within(both, a, make("b")), within(both, b, make("a"))];
    for id in [a, b] {
        within(both, id, move |mut regions, _| {
            for region in numbers {
                if let Ok(view) = open(regions, region, access) {
                    regions.close(region, view.key).unwrap();
                }
            }
        });
    }
    numbers
}

#[test]
fn the_end_of_either_side_takes_all_lends_back() {
    for (access, is_mapped) in [(Exclusive, 2), (ReadOnly, 4), (Shared, 4)] {
        for end in ["fault", "restart", "unload", "reload"] {
            let ((platform, manager), [a, b]) = two();
            let options = LoadOptions { on_fault: FaultPolicy::Restart, ..LoadOptions::default() };
            let a = match end {
                "restart" => manager.replace(&importer("a", 1), &options).unwrap().id,
                _ => a,
            };
            let [own, lent] = lend_both_ways((platform, manager), [a, b], access);
            assert_eq!(platform.region_mappings.borrow().len(), is_mapped, "{end}");
            match end {
                "unload" => {
                    let receipt = manager.unload(a).unwrap();
                    assert!(is_balanced(&receipt), "{receipt:?}");
                    assert_eq!(receipt.held.pages, 3);
                }
                "reload" => {
                    let receipt =
                        manager.replace(&importer("a", 2), &options).unwrap().replaced.unwrap().receipt.unwrap();
                    assert!(is_balanced(&receipt) && receipt.held.pages == 3, "{receipt:?}");
                }
                _ => {
                    platform.results.borrow_mut().push_back(Err(FAULT));
                    assert!(manager.execute(a).is_err());
                }
            }
            // Only b's mapping of its own region is left, which it had if that was not moved.
            let left = usize::from(access != Exclusive);
            assert_eq!(platform.region_mappings.borrow().len(), left, "{access:?} {end}");
            assert_eq!(platform.region_pages.get(), 2, "{access:?} {end}");
            within((platform, manager), b, move |mut regions, _| {
                assert_eq!(open(regions, own, access), Err(RegionError::NoSuchRegion));
                assert_eq!(regions.take_back(lent), Err(RegionError::NotLent));
                let view = open(regions, lent, Exclusive).unwrap();
                regions.close(lent, view.key).unwrap();
            });
            if end == "restart" {
                within((platform, manager), a, |mut regions, _| regions.create(1).unwrap());
                assert_eq!(manager.region_bytes(a), 4096);
            }
            assert!(is_balanced(&manager.unload(b).unwrap()));
        }
    }
}

#[test]
fn what_is_open_where_it_runs_stays_there_until_it_is_closed() {
    for access in [Exclusive, ReadOnly, Shared] {
        let (both, [a, b]) = two();
        let [own, _] = lend_both_ways(both, [a, b], access);
        within(both, b, move |mut regions, callees| {
            let view = open(regions, own, access).unwrap();
            // Its owner faults, when b calls it, say.
            both.0.results.borrow_mut().push_back(Err(FAULT));
            assert!(both.1.execute(a).is_err());
            assert!(is_balanced(&both.1.unload(a).unwrap()));
            assert_eq!(callees.find_in_region(view.address, 1, false).is_some(), access != Shared);
            assert_eq!(both.0.region_pages.get(), 4, "its memory is there");
            assert_eq!(open(regions, own, access), Err(RegionError::NoSuchRegion));
            assert_eq!(regions.give_back(own), Err(RegionError::Open));
            regions.close(own, view.key).unwrap();
            assert_eq!(both.0.region_pages.get(), 2);
            assert_eq!(regions.close(own, view.key), Err(RegionError::NoSuchRegion));
        });
        assert!(is_balanced(&both.1.unload(b).unwrap()));
        assert_eq!((mapped(both.0), both.0.region_pages.get()), ((0, 0), 0));
    }
}

#[test]
fn what_is_never_closed_is_freed_with_the_module_that_has_it_open() {
    let (both, [a, b]) = two();
    let [own, _] = lend_both_ways(both, [a, b], Shared);
    within(both, b, move |regions, _| {
        open(regions, own, Shared).unwrap();
        assert!(is_balanced(&both.1.unload(a).unwrap()));
    });
    assert_eq!((both.1.region_bytes(b), both.0.region_pages.get()), (2 * 4096, 4));
    let receipt = both.1.unload(b).unwrap();
    assert_eq!((is_balanced(&receipt), receipt.held.pages), (true, 5));
    assert_eq!((mapped(both.0), both.0.region_pages.get()), ((0, 0), 0));
}

#[test]
fn a_load_that_fails_and_a_manager_that_ends_leave_no_region() {
    let (both, [a, _]) = two();
    within(both, a, |mut regions, _| regions.create(1).unwrap());
    let platform: Platform = Box::leak(Box::default());
    let manager = crate::testing::manager(platform, crate::profile::Timing::Fast);
    let id = manager.load(&importer("a", 0)).unwrap();
    platform.inside.borrow_mut().push_back(Box::new(|callees| {
        client::<dyn Regions, _>(&Import(callees)).create(1).unwrap();
    }));
    manager.execute(id).unwrap();
    assert_eq!(platform.region_pages.get(), 1);
    drop(manager);
    assert_eq!((platform.region_pages.get(), platform.images.get()), (0, 0));
    // An `init` that creates a region, and refuses the load.
    let mut failing = importer("failing", 0);
    blob::change_header(&mut failing, |header| header.flags |= bareflow_abi::header::FLAG_INIT);
    both.0.inside.borrow_mut().push_back(Box::new(|callees| {
        let import = Import(callees);
        let mut regions = client::<dyn Regions, _>(&import);
        let region = regions.create(1).unwrap();
        open(regions, region, Exclusive).unwrap();
    }));
    both.0.results.borrow_mut().push_back(Ok(7));
    assert!(matches!(both.1.load(&failing), Err(LoadError::InitFailed { result: 7 })));
    assert_eq!((mapped(both.0), both.0.region_pages.get()), ((0, 0), 1));
}

#[test]
fn rejects_more_pages_than_can_be_counted() {
    let (both, [a, _]) = two();
    both.1.set_region_limit(u64::MAX);
    within(both, a, |mut regions, _| {
        let most = u64::from(u32::MAX) * 4096;
        assert_eq!(regions.create(most + 1), Err(RegionError::TooLarge));
        let region = regions.create(most).unwrap();
        assert_eq!(regions.create(1), Err(RegionError::TooLarge));
        regions.destroy(region).unwrap();
        regions.create(1).unwrap();
    });
}

#[test]
fn an_init_opens_regions_in_the_image_that_it_runs_in() {
    for (refills, faults) in [(false, false), (false, true), (true, true)] {
        let (platform, manager) = manager();
        platform.refills.set(refills);
        let mut bytes = importer("a", 0);
        blob::change_header(&mut bytes, |header| header.flags |= bareflow_abi::header::FLAG_INIT);
        platform.results.borrow_mut().push_back(Ok(0));
        let options = LoadOptions { on_fault: FaultPolicy::RestartTimes(0), ..LoadOptions::default() };
        let id = manager.load_with(&bytes, &options).unwrap();
        if faults {
            platform.results.borrow_mut().push_back(Err(FAULT));
            assert!(manager.execute(id).is_err());
        }
        // The first one fails behind that, and nothing stays of what it had.
        for result in [Ok(1), Err(FAULT), Ok(0)] {
            platform.inside.borrow_mut().push_back(Box::new(|callees| {
                let import = Import(callees);
                let mut regions = client::<dyn Regions, _>(&import);
                let region = regions.create(1).unwrap();
                open(regions, region, Exclusive).unwrap();
            }));
            platform.results.borrow_mut().push_back(result);
            assert_eq!(manager.restart(id, None).is_ok(), result == Ok(0));
            let bases: Vec<_> = platform.region_mappings.borrow().iter().map(|mapping| mapping.1).collect();
            let own = manager.with_image(id, |image| image.base).unwrap();
            assert_eq!(bases, if result == Ok(0) { std::vec![own] } else { Vec::new() }, "{refills} {faults}");
            assert_eq!(platform.images.get(), 1);
        }
        assert!(is_balanced(&manager.unload(id).unwrap()));
    }
}

#[test]
fn a_module_keeps_no_more_of_others_that_ended_than_it_may_own() {
    let (platform, manager) = manager();
    let both = (platform, manager);
    let options = LoadOptions { on_fault: FaultPolicy::Restart, ..LoadOptions::default() };
    let owner = manager.load_with(&importer("a", 0), &options).unwrap();
    let hoarder = manager.load(&importer("b", 0)).unwrap();
    manager.set_region_limit(8192);
    let create = move || {
        within(both, owner, |mut regions, _| {
            let region = regions.create(4096).unwrap();
            regions.lend(region, "b", Shared).unwrap();
            region
        })
    };
    within(both, hoarder, move |regions, _| {
        for round in 0..9 {
            // It closes none.
            let opened = open(regions, create(), Shared).map(|_| ());
            assert_eq!(opened, if round < 2 { Ok(()) } else { Err(RegionError::TooLarge) });
            platform.results.borrow_mut().push_back(Err(FAULT));
            assert!(manager.execute(owner).is_err());
        }
        assert_eq!(platform.region_pages.get(), 2);
    });
    // Nor does it keep any once it does not run.
    create();
    assert_eq!((platform.region_pages.get(), mapped(platform)), (1, (0, 0)));
}
