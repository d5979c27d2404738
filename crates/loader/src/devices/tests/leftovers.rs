//! The completions of a device that was closed, and which driver gets them.

use bareflow_abi::Out;
use bareflow_device::MAX_LEFTOVERS;

use super::*;

/// The completion of a chain with a token.
const fn done(token: u16) -> Completion {
    Completion { token, reserved: 0, length: 60 }
}

/// Creates a region of the module `stack`, lent to `net`.
fn lent(platform: &'static FakePlatform, manager: &Manager, stack: ModuleId) -> u32 {
    within(platform, manager, stack, |_, mut regions| {
        let region = regions.create(4096).unwrap();
        regions.lend(region, "net", Access::Shared).unwrap();
        region
    })
}

/// Opens the card, with a region of its own as memory 0 and another one as memory 1.
fn open_with(platform: &'static FakePlatform, manager: &Manager, id: ModuleId, region: u32) {
    open_with_region(platform, manager, id);
    within(platform, manager, id, move |mut device, _| assert_eq!(device.attach(0, region), Ok(1)));
}

/// Returns the tokens of up to `room` chains of a queue that no one collected.
fn leftovers(platform: &'static FakePlatform, manager: &Manager, id: ModuleId, queue: u32, room: usize) -> Vec<u16> {
    let found: &'static RefCell<Vec<u16>> = Box::leak(Box::default());
    platform.inside.borrow_mut().push_front(Box::new(move |callees| {
        let mut all = [Completion::default(); 2 * MAX_LEFTOVERS];
        let mut out = Out::new(&mut all[..room]);
        client::<dyn Virtio, _>(&Import(callees, 2)).leftovers(0, queue, &mut out).unwrap();
        found.borrow_mut().extend(out.written().iter().map(|done| done.token));
    }));
    let _ = manager.execute(id);
    found.take()
}

/// Loads a driver and its user. Returns both, and a region that the driver was lent and has attached.
fn driver_and_user(platform: &'static FakePlatform, manager: &Manager) -> (ModuleId, ModuleId, u32) {
    let options = LoadOptions { on_fault: FaultPolicy::RestartTimes(200), ..LoadOptions::default() };
    let net = manager.load_with(&driver("net", 0, &["virtio:net"]), &options).unwrap();
    let stack = manager.load(&driver("stack", 0, &[])).unwrap();
    let region = lent(platform, manager, stack);
    open_with(platform, manager, net, region);
    (net, stack, region)
}

/// Makes the driver fault, and lends the region to what is started again.
fn fault(platform: &'static FakePlatform, manager: &Manager, net: ModuleId, stack: ModuleId, region: u32) {
    platform.results.borrow_mut().push_back(Err(FAULT));
    manager.execute(net).unwrap_err();
    within(platform, manager, stack, move |_, mut regions| regions.lend(region, "net", Access::Shared).unwrap());
}

#[test]
fn the_next_driver_gets_what_ends_in_memory_that_it_was_lent_again() {
    let (platform, manager, bus) = with_bus(1);
    let (net, stack, region) = driver_and_user(platform, manager);
    // Of the driver's own memory, of none, and of its user's.
    let all = [(0, 0, 1), (0, 7, 2), (0, 1, 3), (1, 1, 4), (0, 1, 5), (0, 1, 6)];
    bus.uncollected.borrow_mut().extend(all.map(|(queue, memory, token)| (queue, memory, done(token))));
    fault(platform, manager, net, stack, region);
    open_with_region(platform, manager, net);
    // It has not attached that memory yet.
    assert_eq!(leftovers(platform, manager, net, 0, 9), []);
    within(platform, manager, net, move |mut device, _| device.attach(0, region).unwrap());
    // Each is returned once.
    assert_eq!(leftovers(platform, manager, net, 0, 2), [3, 5]);
    assert_eq!(leftovers(platform, manager, net, 0, 9), [6]);
    assert_eq!(
        (leftovers(platform, manager, net, 0, 9), leftovers(platform, manager, net, 1, 9)),
        (std::vec![], std::vec![4])
    );
    // A version that replaces it gets those of the one before.
    bus.uncollected.borrow_mut().push((0, 1, done(7)));
    let next = manager.replace(&driver("net", 1, &["virtio:net"]), &LoadOptions::default()).unwrap().id;
    within(platform, manager, stack, move |_, mut regions| regions.lend(region, "net", Access::Shared).unwrap());
    open_with(platform, manager, next, region);
    assert_eq!(leftovers(platform, manager, next, 0, 9), [7]);
}

#[test]
fn what_is_left_is_forgotten_once_its_memory_was_used_again_and_with_the_driver() {
    let (platform, manager, bus) = with_bus(1);
    let (net, stack, region) = driver_and_user(platform, manager);
    let fault_with = |token| {
        bus.uncollected.borrow_mut().push((0, 1, done(token)));
        fault(platform, manager, net, stack, region);
    };
    fault_with(1);
    // It faults again before it has the memory, and loses nothing.
    platform.results.borrow_mut().push_back(Err(FAULT));
    manager.execute(net).unwrap_err();
    within(platform, manager, stack, move |_, mut regions| regions.lend(region, "net", Access::Shared).unwrap());
    open_with(platform, manager, net, region);
    fault_with(2);
    open_with(platform, manager, net, region);
    assert_eq!(leftovers(platform, manager, net, 0, 9), [2]);
    // There is room for so many, the newest, and they go with the driver.
    bus.uncollected.borrow_mut().extend((0..300).map(|token| (0, 1, done(token))));
    fault(platform, manager, net, stack, region);
    open_with(platform, manager, net, region);
    assert_eq!(leftovers(platform, manager, net, 0, 1), [300 - MAX_LEFTOVERS as u16]);
    assert_eq!(leftovers(platform, manager, net, 0, 2 * MAX_LEFTOVERS).len(), MAX_LEFTOVERS - 1);
    bus.uncollected.borrow_mut().push((0, 1, done(3)));
    manager.unload(net).unwrap();
    let net = manager.load(&driver("net", 0, &["virtio:net"])).unwrap();
    within(platform, manager, stack, move |_, mut regions| regions.lend(region, "net", Access::Shared).unwrap());
    open_with(platform, manager, net, region);
    assert_eq!(leftovers(platform, manager, net, 0, 9), []);
}

#[test]
fn what_is_left_in_memory_that_is_gone_takes_no_room() {
    let (platform, manager, bus) = with_bus(1);
    let (net, stack, mut region) = driver_and_user(platform, manager);
    for token in 0..=MAX_LEFTOVERS as u16 {
        bus.uncollected.borrow_mut().push((0, 1, done(token)));
        platform.results.borrow_mut().push_back(Err(FAULT));
        manager.execute(net).unwrap_err();
        assert_eq!(manager.leftovers.borrow().count(), 1);
        // Its user has no use for it.
        within(platform, manager, stack, move |_, mut regions| regions.destroy(region).unwrap());
        region = lent(platform, manager, stack);
        open_with(platform, manager, net, region);
    }
    bus.uncollected.borrow_mut().push((0, 1, done(1000)));
    fault(platform, manager, net, stack, region);
    open_with(platform, manager, net, region);
    assert_eq!(leftovers(platform, manager, net, 0, 9), [1000]);
}
