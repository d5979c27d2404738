//! Who has a device while modules are tried, fault, and are replaced, and what becomes of one that can't be stopped.

use super::*;

#[test]
fn a_candidate_that_is_started_again_does_not_get_the_device() {
    let (platform, manager, bus) = with_bus(1);
    let live = manager.load(&driver("net", 0, &["virtio:net"])).unwrap();
    open_with_region(platform, manager, live);
    events_of(platform, manager);
    let options = LoadOptions { on_fault: FaultPolicy::RestartTimes(1), ..LoadOptions::default() };
    let candidate = manager.load_candidate(&driver("net", 1, &["virtio:net"]), &options).unwrap();
    platform.results.borrow_mut().push_back(Err(FAULT));
    manager.execute(candidate).unwrap_err();
    assert_eq!(manager.execute(candidate), Ok(42));
    within(platform, manager, candidate, |mut device, _| assert_eq!(device.open(0), Err(DeviceError::NotClaimed)));
    assert_eq!(events_of(platform, manager), []);
    assert_eq!(*bus.done.borrow(), [("open", 1), ("attach", 1)]);
    let owned = manager.devices().nth(1).unwrap();
    assert_eq!((owned.owner, owned.is_open), (Some(name("net")), true));
    // It gets it when it replaces the other one.
    manager.promote(candidate).unwrap();
    assert_eq!(events_of(platform, manager), [(name("net"), 1)]);
    open_with_region(platform, manager, candidate);
}

#[test]
fn several_candidates_wait_for_one_device() {
    let (platform, manager, _) = with_bus(1);
    manager.load(&driver("net", 0, &["virtio:net"])).unwrap();
    let [first, second] = [1, 2]
        .map(|minor| manager.load_candidate(&driver("net", minor, &["virtio:net"]), &LoadOptions::default()).unwrap());
    // One of another name does not.
    let refused = manager.load(&driver("b", 0, &["virtio:net"]));
    assert!(matches!(refused, Err(LoadError::DeviceTaken { by, .. }) if by == name("net")));
    manager.promote(first).unwrap();
    manager.promote(second).unwrap();
    events_of(platform, manager);
    open_with_region(platform, manager, second);
    // Beside it there is none for another version.
    let beside = manager.load_versioned(&driver("net", 3, &["virtio:net"]), &LoadOptions::default());
    assert!(matches!(beside, Err(LoadError::DeviceTaken { .. })), "{beside:?}");
}

#[test]
fn a_module_that_goes_on_after_a_failed_restart_is_told_so() {
    let (platform, manager, bus) = with_bus(1);
    let id = manager.load(&driver("net", 0, &["virtio:net"])).unwrap();
    open_with_region(platform, manager, id);
    events_of(platform, manager);
    platform.is_short.set(true);
    manager.restart(id, Some(&driver("net", 0, &["virtio:net"]))).unwrap_err();
    platform.is_short.set(false);
    assert_eq!(bus.done.borrow().last(), Some(&("close", 1)));
    assert_eq!(events_of(platform, manager), [(name("net"), 1)]);
    open_with_region(platform, manager, id);
}

#[test]
fn the_one_that_was_replaced_has_the_device_no_more() {
    let (platform, manager, _) = with_bus(1);
    let old = manager.load(&driver("net", 0, &["virtio:net"])).unwrap();
    within(platform, manager, old, |mut device, _| {
        device.open(0).unwrap();
        manager.replace(&driver("net", 1, &["virtio:net"]), &LoadOptions::default()).unwrap();
        assert_eq!(device.listen(0), Err(DeviceError::NotClaimed));
        assert_eq!(device.open(0), Err(DeviceError::NotClaimed));
    });
}

#[test]
fn a_device_that_can_not_be_stopped_is_never_given_again() {
    let (platform, manager, bus) = with_bus(1);
    let options = LoadOptions { on_fault: FaultPolicy::RestartTimes(9), ..LoadOptions::default() };
    let id = manager.load_with(&driver("net", 0, &["virtio:net"]), &options).unwrap();
    open_with_region(platform, manager, id);
    bus.is_quiet.set(false);
    platform.results.borrow_mut().push_back(Err(FAULT));
    manager.execute(id).unwrap_err();
    within(platform, manager, id, |mut device, _| {
        assert_eq!((device.open(0), device.listen(0)), (Err(DeviceError::Lost), Err(DeviceError::Lost)));
    });
    let lost = manager.devices().nth(1).unwrap();
    assert_eq!((lost.owner, lost.is_open, lost.is_lost), (Some(name("net")), false, true));
    let unusable = LoadError::DeviceUnusable { device: Selector::Virtio(1) };
    let replaced = manager.replace(&driver("net", 1, &["virtio:net"]), &LoadOptions::default());
    assert_eq!(replaced.unwrap_err(), unusable);
    manager.unload(id).unwrap();
    bus.is_quiet.set(true);
    assert_eq!(manager.load(&driver("b", 0, &["virtio:net"])), Err(unusable));
    assert_eq!((platform.region_pages.get(), bus.done.borrow().len()), (1, 3));
}

#[test]
fn memory_of_a_device_that_can_not_be_stopped_outlives_the_manager() {
    for is_quiet in [true, false] {
        let (platform, _, bus) = with_bus(1);
        let manager: *mut Manager = Box::into_raw(Box::new(crate::testing::manager(platform, Timing::Fast)));
        // SAFETY: it lives until it is taken back below, after its last use.
        #[expect(unsafe_code, reason = "the manager is dropped before the test's end")]
        let (shared, owned) = unsafe { (&*manager, manager) };
        let id = shared.load(&driver("net", 0, &["virtio:net"])).unwrap();
        open_with_region(platform, shared, id);
        bus.is_quiet.set(is_quiet);
        // SAFETY: as above.
        #[expect(unsafe_code, reason = "as above")]
        drop(unsafe { Box::from_raw(owned) });
        assert_eq!(platform.region_pages.get(), u64::from(!is_quiet));
    }
}

#[test]
fn memory_is_pinned_for_the_module_whose_device_uses_it() {
    let (platform, manager, _) = with_bus(2);
    let [a, b, owner] = ["a", "b", "owner"].map(|name| {
        let devices: &[&str] = if name == "owner" { &[] } else { &["virtio:net"] };
        manager.load(&driver(name, 0, devices)).unwrap()
    });
    let region = within(platform, manager, owner, |_, mut regions| {
        let region = regions.create(4096).unwrap();
        regions.lend(region, "a", Access::Shared).unwrap();
        regions.lend(region, "b", Access::Shared).unwrap();
        region
    });
    within(platform, manager, a, move |mut device, mut regions| {
        device.open(0).unwrap();
        assert_eq!((device.attach(0, region), device.attach(0, region)), (Ok(0), Ok(1)));
        device.detach(0, 0).unwrap();
        assert_eq!(device.detach(0, 0), Err(DeviceError::NoSuchMemory));
        assert_eq!(regions.give_back(region), Err(RegionError::Open));
    });
    // That is nothing to one whose device does not use it.
    within(platform, manager, b, move |_, mut regions| assert_eq!(regions.give_back(region), Ok(())));
    within(platform, manager, owner, move |_, mut regions| {
        assert_eq!(regions.take_back(region), Err(RegionError::Open));
    });
    within(platform, manager, a, move |mut device, mut regions| {
        device.detach(0, 1).unwrap();
        assert_eq!(regions.give_back(region), Ok(()));
    });
    within(platform, manager, owner, move |_, mut regions| {
        assert_eq!(regions.take_back(region), Err(RegionError::NotLent));
        regions.destroy(region).unwrap();
    });
    assert_eq!(platform.region_pages.get(), 0);
}

#[test]
fn rejects_more_memories_than_a_device_has() {
    let (platform, manager, _) = with_bus(1);
    let id = manager.load(&driver("net", 0, &["virtio:net"])).unwrap();
    within(platform, manager, id, |mut device, mut regions| {
        device.open(0).unwrap();
        let region = regions.create(4096).unwrap();
        for number in 0..16 {
            assert_eq!(device.attach(0, region), Ok(number));
        }
        assert_eq!(device.attach(0, region), Err(DeviceError::TooMany));
        device.detach(0, 7).unwrap();
        assert_eq!(device.attach(0, region), Ok(7));
    });
}
