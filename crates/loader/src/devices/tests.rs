use core::cell::{Cell, RefCell};
use std::boxed::Box;
use std::string::ToString;
use std::vec::Vec;

use bareflow_abi::Out;
use bareflow_abi::devices::{BadDevice, DeviceIds, Selector};
use bareflow_abi::events::{self, Event, Kind};
use bareflow_abi::interface::bindings::{Method, NewEntry, Role, encode, encoded_size, function_fingerprint};
use bareflow_abi::interface::{Frame, Reply, Shape, Target, client};
use bareflow_abi::record::{BINDINGS, DEVICES, EVENTS};
use bareflow_device::{Buffer, Completion, Description, Device, DeviceClient, DeviceError, Virtio};
use bareflow_regions::{Access, RegionError, Regions, RegionsClient};

use crate::error::{InvalidModule, LoadError};
use crate::fault::{Fault, FaultKind};
use crate::module::ModuleId;
use crate::name::Name;
use crate::platform::{Callees, DeviceBus, DeviceFacts, Reach, RegionMemory};
use crate::policy::allowed::Allowed;
use crate::policy::{FaultPolicy, LoadOptions};
use crate::profile::Timing;
use crate::testing::blob::{self, add_record};
use crate::testing::{FakePlatform, LeakedManager as Manager, leaked_manager as manager};

const FAULT: Fault = Fault { kind: FaultKind::Divide, offset: Some(0), address: None };

/// Devices of a test's own.
struct Bus {
    facts: Vec<DeviceFacts>,
    /// The steps so far: which, with which device.
    done: RefCell<Vec<(&'static str, u32)>>,
    /// Whether devices that are closed use no memory any more.
    is_quiet: Cell<bool>,
    interrupts: Cell<u64>,
    /// The completions of a device that is closed: queue, memory and completion.
    uncollected: RefCell<Vec<(u32, u32, Completion)>>,
    /// The pages of regions that there were when a device was closed last.
    pages_at_close: Cell<u64>,
    platform: Cell<Option<&'static FakePlatform>>,
}

impl Bus {
    fn note(&self, what: &'static str, device: u32) {
        self.done.borrow_mut().push((what, device));
    }
}

// SAFETY: there are no devices.
#[expect(unsafe_code, reason = "a test's devices use no memory")]
unsafe impl DeviceBus for Bus {
    fn count(&self) -> u32 {
        self.facts.len() as u32
    }
    fn facts(&self, device: u32) -> Option<DeviceFacts> {
        self.facts.get(device as usize).copied()
    }
    fn open(&self, device: u32) -> Result<(), DeviceError> {
        self.note("open", device);
        Ok(())
    }
    fn close(&self, device: u32, put: &mut dyn FnMut(u32, u32, Completion)) -> bool {
        self.note("close", device);
        self.uncollected.take().into_iter().for_each(|(queue, memory, done)| put(queue, memory, done));
        self.pages_at_close.set(self.platform.get().map_or(0, |platform| platform.region_pages.get()));
        self.is_quiet.get()
    }
    fn listen(&self, device: u32) -> Result<(), DeviceError> {
        self.note("listen", device);
        Ok(())
    }
    fn attach(&self, device: u32, _: u32, _: &RegionMemory) -> Result<(), DeviceError> {
        self.note("attach", device);
        Ok(())
    }
    fn detach(&self, device: u32, _: u32) -> Result<(), DeviceError> {
        self.note("detach", device);
        Ok(())
    }
    fn note_trust(&self, device: u32, _: &str) {
        self.note("trust", device);
    }
    fn read(&self, _: u32, bar: u32, offset: u32, _: u32) -> Result<u64, DeviceError> {
        Ok(u64::from(bar) << 32 | u64::from(offset))
    }
    fn write(&self, device: u32, _: u32, _: u32, _: u32, _: u64) -> Result<(), DeviceError> {
        self.note("write", device);
        Ok(())
    }
    fn addresses(&self, _: u32, buffers: &[Buffer], put: &mut dyn FnMut(u64)) -> Result<(), DeviceError> {
        buffers.iter().for_each(|buffer| put(buffer.offset.into()));
        Ok(())
    }
    fn negotiate(&self, _: u32, wanted: u64) -> Result<u64, DeviceError> {
        Ok(wanted)
    }
    fn set_up_queue(&self, _: u32, _: u32, size: u32) -> Result<u32, DeviceError> {
        Ok(size)
    }
    fn set_interrupt(&self, _: u32, _: u32, _: bool) -> Result<(), DeviceError> {
        Ok(())
    }
    fn start(&self, _: u32) -> Result<(), DeviceError> {
        Ok(())
    }
    fn config(&self, _: u32, _: u32, into: &mut [u8]) -> Result<(), DeviceError> {
        into.fill(7);
        Ok(())
    }
    fn submit(&self, _: u32, _: u32, buffers: &[Buffer]) -> Result<u32, DeviceError> {
        Ok(buffers.len() as u32)
    }
    fn collect(&self, _: u32, _: u32, _: usize, put: &mut dyn FnMut(Completion)) -> Result<u32, DeviceError> {
        put(Completion::default());
        Ok(0)
    }
    fn take_interrupts(&self) -> u64 {
        self.interrupts.take()
    }
}

const NIC: DeviceIds = DeviceIds { vendor: 0x1af4, device: 0x1041, class: 2, subclass: 0, virtio: 1 };

fn facts(ids: DeviceIds, reach: Reach, is_embedders: bool) -> DeviceFacts {
    let (location, is_on_pci, has_interrupt, problem) = (0x18, true, true, None);
    DeviceFacts { ids, location, is_on_pci, has_interrupt, reach, is_embedders, faults: 0, is_broken: false, problem }
}

/// A manager with devices: a disk of the embedder's, a card, and one that reaches all memory.
fn with_bus(cards: usize) -> (&'static FakePlatform, &'static Manager, &'static Bus) {
    let (platform, manager) = manager();
    let disk = DeviceIds { device: 0x1042, class: 1, virtio: 2, ..NIC };
    let other = DeviceIds { vendor: 0x8086, device: 0x10d3, virtio: 0, ..NIC };
    let mut all = std::vec![facts(disk, Reach::Checked, true)];
    all.extend((0..cards).map(|_| facts(NIC, Reach::Checked, false)));
    all.push(facts(other, Reach::Trusted, false));
    all.push(facts(DeviceIds { device: 0x10d4, ..other }, Reach::Iommu, false));
    let bus: &'static Bus = Box::leak(Box::new(Bus {
        facts: all,
        done: RefCell::default(),
        is_quiet: Cell::new(true),
        interrupts: Cell::new(0),
        uncollected: RefCell::default(),
        pages_at_close: Cell::new(0),
        platform: Cell::new(Some(platform)),
    }));
    platform.device_bus.set(Some(bus));
    (platform, manager, bus)
}

/// Returns a blob with the imports of a driver, and a handler.
fn bare(name: &str, minor: u32) -> Vec<u8> {
    const HANDLER: &[Method] = &[Method { fingerprint: function_fingerprint("handle"), shape: Shape::EMPTY }];
    let functions = NewEntry { role: Role::Export, name: "", interface: "", version: (0, 0), methods: HANDLER };
    let [device, regions] = [NewEntry::of::<dyn Device>("device"), NewEntry::of::<dyn Regions>("regions")];
    let entries = [device, regions, NewEntry::of::<dyn Virtio>("virtio"), functions];
    let mut bytes = blob::version(name, 1, minor);
    add_record(&mut bytes, BINDINGS, &encode::<1024>(&entries)[..encoded_size(&entries)]);
    bytes
}

/// Returns a blob that drives devices, with an event for the interrupts of each.
fn driver(name: &str, minor: u32, devices: &[&str]) -> Vec<u8> {
    let mut bytes = bare(name, minor);
    let names = ["on_first", "on_second"];
    let declared: Vec<_> = (0..devices.len().min(2))
        .map(|number| Event {
            kind: Kind::Interrupt,
            at_start: false,
            function: 0,
            period_us: number as u64,
            name: names[number],
            source: "",
        })
        .collect();
    add_record(&mut bytes, EVENTS, &events::encode::<1024>(&declared)[..events::encoded_size(&declared)]);
    let mut list = Vec::new();
    devices.iter().for_each(|device| bareflow_abi::devices::encode(device, &mut |part| list.extend_from_slice(part)));
    add_record(&mut bytes, DEVICES, &list);
    bytes
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// An import of a module that runs.
struct Import<'call>(&'call dyn Callees, u32);

impl Target for Import<'_> {
    fn invoke(&self, method: u32, frame: &mut Frame<'_>) -> Reply {
        self.0.invoke(self.1, method, frame)
    }
}

/// Lets the module `id` do `work` with devices and regions, within a call.
#[track_caller]
fn within<T: 'static>(
    platform: &'static FakePlatform,
    manager: &Manager,
    id: ModuleId,
    work: impl FnOnce(DeviceClient<'_>, RegionsClient<'_>) -> T + 'static,
) -> T {
    let done: &'static _ = Box::leak(Box::new(Cell::new(None)));
    platform.inside.borrow_mut().push_front(Box::new(move |callees| {
        let (device, regions) = (Import(callees, 0), Import(callees, 1));
        done.set(Some(work(client::<dyn Device, _>(&device), client::<dyn Regions, _>(&regions))));
    }));
    let _ = manager.execute(id);
    done.take().expect("it was called")
}

/// Runs all events. Returns what was called, and by which events.
fn events_of(platform: &FakePlatform, manager: &Manager) -> Vec<(Name, u64)> {
    platform.functions.borrow_mut().clear();
    manager.run_events(100);
    platform.functions.take().into_iter().map(|(name, _, events)| (name, events)).collect()
}

/// Opens the card and lets it use a region of the module's own.
fn open_with_region(platform: &'static FakePlatform, manager: &Manager, id: ModuleId) -> u32 {
    within(platform, manager, id, |mut device, mut regions| {
        device.open(0).unwrap();
        let region = regions.create(4096).unwrap();
        assert_eq!(device.attach(0, region), Ok(0));
        region
    })
}

#[test]
fn a_module_is_told_of_its_device_and_of_interrupts() {
    let (platform, manager, bus) = with_bus(2);
    let id = manager.load(&driver("net", 0, &["virtio:net", "pci:class:0200"])).unwrap();
    assert_eq!(events_of(platform, manager), [(name("net"), 3)]);
    bus.interrupts.set(1 << 2);
    assert_eq!(events_of(platform, manager), [(name("net"), 2)]);
    // One of a device that no one has.
    bus.interrupts.set(1 << 0 | 1 << 3);
    assert_eq!(events_of(platform, manager), []);
    within(platform, manager, id, |mut device, _| {
        let mut description = Description::default();
        device.describe(1, &mut description).unwrap();
        assert_eq!((description.vendor, description.class, description.location), (0x1af4, 0x0200, 0x18));
        assert_eq!(device.listen(0), Err(DeviceError::NotOpen));
        assert_eq!(device.attach(0, 1), Err(DeviceError::NotOpen));
        assert_eq!(device.open(2), Err(DeviceError::NoSuchDevice));
        assert_eq!((device.open(0), device.open(0)), (Ok(()), Err(DeviceError::Open)));
        assert_eq!((device.listen(0), device.close(0), device.close(0)), (Ok(()), Ok(()), Err(DeviceError::NotOpen)));
    });
    assert_eq!(*bus.done.borrow(), [("open", 1), ("listen", 1), ("close", 1)]);
    let owners: Vec<_> = manager.devices().map(|device| device.owner).collect();
    assert_eq!(owners, [None, Some(name("net")), Some(name("net")), None, None]);
}

#[test]
fn a_device_is_one_modules_and_not_every_device_is() {
    let (_, manager, _) = with_bus(1);
    let load = |blob: &[u8]| manager.load(blob).err();
    let net = Selector::Virtio(1);
    manager.load(&driver("net", 0, &["virtio:net"])).unwrap();
    assert_eq!(load(&driver("b", 0, &["virtio:net"])), Some(LoadError::DeviceTaken { device: net, by: name("net") }));
    let taken = LoadError::DeviceTaken { device: net, by: name("net") }.to_string();
    assert!(taken.ends_with("; unload it first, or give this crate that name, so that a push replaces it"), "{taken}");
    let block = Selector::Virtio(2);
    assert_eq!(load(&driver("b", 0, &["virtio:block"])), Some(LoadError::DeviceReserved { device: block }));
    let entropy = Selector::Virtio(4);
    assert_eq!(load(&driver("b", 0, &["virtio:entropy"])), Some(LoadError::NoSuchDevice { device: entropy }));
    let model = Selector::Model(0x8086, 0x10d3);
    assert_eq!(load(&driver("b", 0, &["pci:8086:10d3"])), Some(LoadError::DeviceUnbounded { device: model }));
    // One like it, behind an IOMMU.
    let bounded = manager.load(&driver("b", 0, &["pci:8086:10d4"])).unwrap();
    manager.unload(bounded).unwrap();
    assert_eq!(
        load(&driver("b", 0, &["virtio:wifi"])),
        Some(LoadError::Invalid(InvalidModule::Device { number: 1, why: BadDevice::Selector }))
    );
    let mut twice = driver("b", 0, &["virtio:net"]);
    add_record(&mut twice, DEVICES, b"");
    assert_eq!(load(&twice), Some(LoadError::Invalid(InvalidModule::TwoDeviceLists)));
    // What was refused has nothing.
    let net = manager.active(&name("net")).unwrap();
    manager.unload(net).unwrap();
    let two = driver("two", 0, &["virtio:net", "virtio:net"]);
    assert!(matches!(load(&two), Some(LoadError::NoSuchDevice { .. })));
    manager.load(&driver("b", 0, &["virtio:net"])).unwrap();
}

#[test]
fn a_device_that_is_not_there_is_attached_by_an_option_of_its_own() {
    for (device, option) in [
        ("virtio:net", "`--net`"),
        ("pci:class:0200", "`--net`"),
        ("pci:8086:10d3", "`--iommu --net=model=e1000e`"),
        ("virtio:entropy", "`--device virtio-rng-pci`"),
        ("pci:1234:11e8", "`--device` with QEMU's words for it, as `--device edu`,"),
    ] {
        let error = LoadError::NoSuchDevice { device: Selector::parse(device).unwrap() }.to_string();
        let expected = std::format!("are there, and {option} of `boot` and `serve` attaches one");
        assert!(error.ends_with(&expected), "{error}");
    }
}

#[test]
fn a_device_that_reaches_all_memory_is_a_trusted_modules() {
    let (platform, manager, bus) = with_bus(0);
    let allowing = |allowed: &str| LoadOptions { allowed: Allowed::parse(allowed).unwrap(), ..LoadOptions::default() };
    let blob = driver("b", 0, &["pci:8086:10d3"]);
    for allowed in ["all", "interfaces,device:pci:8086:10d3"] {
        let refused = manager.load_with(&blob, &allowing(allowed)).unwrap_err();
        assert_eq!(refused, LoadError::DeviceUnbounded { device: Selector::Model(0x8086, 0x10d3) }, "{allowed}");
    }
    let refused = manager.load_with(&blob, &allowing("interfaces,device-trusted")).unwrap_err();
    assert_eq!(refused, LoadError::DeviceNotAllowed { device: Selector::Model(0x8086, 0x10d3) });
    assert_eq!(*bus.done.borrow(), []);
    let id = manager.load_with(&blob, &allowing("all,device-trusted")).unwrap();
    within(platform, manager, id, |mut device, _| {
        assert_eq!(device.read(0, 1, 8, 4), Err(DeviceError::NotOpen));
        assert_eq!(device.write(1, 0, 0, 4, 0), Err(DeviceError::NoSuchDevice));
        device.open(0).unwrap();
        assert_eq!(device.read(0, 1, 8, 4), Ok(1 << 32 | 8));
        device.write(0, 0, 0, 4, 0).unwrap();
        let (mut room, buffer) = ([0; 2], |offset| Buffer { offset, ..Buffer::default() });
        let mut into = Out::new(&mut room);
        device.addresses(0, &[buffer(1), buffer(2), buffer(3)], &mut into).unwrap();
        assert_eq!(into.written(), [1, 2]);
        device.close(0).unwrap();
        assert_eq!(device.addresses(0, &[], &mut Out::new(&mut [])), Err(DeviceError::NotOpen));
    });
    assert_eq!(*bus.done.borrow(), [("trust", 1), ("open", 1), ("write", 1), ("close", 1)]);
}

#[test]
fn rejects_an_interrupt_of_no_device() {
    let (_, manager, _) = with_bus(1);
    let mut list = Vec::new();
    bareflow_abi::devices::encode("virtio:net", &mut |part| list.extend_from_slice(part));
    let event = Event { kind: Kind::Interrupt, at_start: false, function: 0, period_us: 1, name: "irq", source: "" };
    let mut other = bare("net", 0);
    add_record(&mut other, EVENTS, &events::encode::<64>(&[event])[..events::encoded_size(&[event])]);
    add_record(&mut other, DEVICES, &list);
    let why = bareflow_abi::events::BadEvent::Device;
    assert_eq!(manager.load(&other), Err(LoadError::Invalid(InvalidModule::Event { number: 1, why })));
}

#[test]
fn a_policy_names_devices() {
    let (_, manager, _) = with_bus(1);
    let allowing = |allowed: &str| LoadOptions { allowed: Allowed::parse(allowed).unwrap(), ..LoadOptions::default() };
    let blob = driver("net", 0, &["virtio:net"]);
    let refused = manager.load_with(&blob, &allowing("interfaces"));
    assert_eq!(refused, Err(LoadError::DeviceNotAllowed { device: Selector::Virtio(1) }));
    let refused = manager.load_with(&blob, &allowing("interfaces,device:pci:class:0200"));
    assert_eq!(refused, Err(LoadError::DeviceNotAllowed { device: Selector::Virtio(1) }));
    manager.load_with(&blob, &allowing("interfaces,device:virtio:net")).unwrap();
}

#[test]
fn there_may_be_no_devices() {
    let (_, manager) = manager();
    let refused = manager.load(&driver("net", 0, &["virtio:net"]));
    assert_eq!(refused, Err(LoadError::NoDevices { device: Selector::Virtio(1) }));
    assert_eq!(manager.devices().count(), 0);
}

#[test]
fn a_reload_hands_the_device_over() {
    let (platform, manager, bus) = with_bus(1);
    let old = manager.load(&driver("net", 0, &["virtio:net"])).unwrap();
    open_with_region(platform, manager, old);
    events_of(platform, manager);
    // A version that is tried beside it does not have it.
    let candidate = manager.load_candidate(&driver("net", 1, &["virtio:net"]), &LoadOptions::default()).unwrap();
    within(platform, manager, candidate, |mut device, _| assert_eq!(device.open(0), Err(DeviceError::NotClaimed)));
    manager.unload(candidate).unwrap();
    assert_eq!(events_of(platform, manager), []);
    let replaced = manager.replace(&driver("net", 2, &["virtio:net"]), &LoadOptions::default()).unwrap();
    assert_eq!(*bus.done.borrow(), [("open", 1), ("attach", 1), ("close", 1)]);
    assert_eq!((bus.pages_at_close.get(), platform.region_pages.get()), (1, 0));
    let receipt = replaced.replaced.unwrap().receipt.unwrap();
    assert_eq!(receipt.returned.map(|returned| returned.pages), Some(receipt.held.pages));
    assert_eq!(events_of(platform, manager), [(name("net"), 1)]);
    open_with_region(platform, manager, replaced.id);
    // One that is refused leaves it alone.
    manager.replace(&driver("net", 3, &["virtio:block"]), &LoadOptions::default()).unwrap_err();
    assert_eq!(bus.done.borrow().len(), 5);
}

#[test]
fn a_fault_closes_the_device_and_a_restart_opens_it_again() {
    let (platform, manager, bus) = with_bus(1);
    let options = LoadOptions { on_fault: FaultPolicy::RestartTimes(1), ..LoadOptions::default() };
    let id = manager.load_with(&driver("net", 0, &["virtio:net"]), &options).unwrap();
    events_of(platform, manager);
    open_with_region(platform, manager, id);
    platform.results.borrow_mut().push_back(Err(FAULT));
    manager.execute(id).unwrap_err();
    assert_eq!(bus.done.borrow().last(), Some(&("close", 1)));
    assert_eq!((bus.pages_at_close.get(), platform.region_pages.get()), (1, 0));
    assert_eq!(events_of(platform, manager), [(name("net"), 1)]);
    open_with_region(platform, manager, id);
    // The second one stops it. It keeps the device, which is of no use to others until it is unloaded.
    platform.results.borrow_mut().push_back(Err(FAULT));
    manager.execute(id).unwrap_err();
    assert_eq!((bus.done.borrow().last(), platform.region_pages.get()), (Some(&("close", 1)), 0));
    assert!(matches!(manager.load(&driver("b", 0, &["virtio:net"])), Err(LoadError::DeviceTaken { .. })));
    manager.unload(id).unwrap();
    manager.load(&driver("b", 0, &["virtio:net"])).unwrap();
}

#[test]
fn memory_stays_where_a_device_may_write_to_it() {
    let (platform, manager, bus) = with_bus(1);
    let net = manager.load(&driver("net", 0, &["virtio:net"])).unwrap();
    let stack = manager.load(&driver("stack", 0, &[])).unwrap();
    let region = within(platform, manager, stack, |_, mut regions| {
        let region = regions.create(4096).unwrap();
        regions.lend(region, "net", Access::Shared).unwrap();
        region
    });
    within(platform, manager, net, move |mut device, mut regions| {
        device.open(0).unwrap();
        assert_eq!(device.attach(0, region + 1), Err(DeviceError::NoSuchRegion));
        assert_eq!(device.attach(0, region), Ok(0));
        assert_eq!(regions.give_back(region), Err(RegionError::Open));
    });
    within(platform, manager, stack, move |_, mut regions| {
        assert_eq!(regions.take_back(region), Err(RegionError::Open));
        assert_eq!(regions.destroy(region), Err(RegionError::Lent));
    });
    // Its owner ends, and the memory stays until the device does not use it any more.
    manager.unload(stack).unwrap();
    assert_eq!(platform.region_pages.get(), 1);
    within(platform, manager, net, move |mut device, _| {
        assert_eq!(device.detach(0, 1), Err(DeviceError::NoSuchMemory));
        device.detach(0, 0).unwrap();
    });
    assert_eq!(platform.region_pages.get(), 0);
    // A device that can't be stopped keeps it for ever.
    open_region_again(platform, manager, net);
    bus.is_quiet.set(false);
    manager.unload(net).unwrap();
    assert_eq!(platform.region_pages.get(), 1);
}

fn open_region_again(platform: &'static FakePlatform, manager: &Manager, id: ModuleId) {
    within(platform, manager, id, |mut device, mut regions| {
        let region = regions.create(4096).unwrap();
        assert_eq!(device.attach(0, region), Ok(0));
    });
}

#[test]
fn a_region_that_others_read_or_that_is_open_is_not_given_to_a_device() {
    let (platform, manager, _) = with_bus(1);
    let net = manager.load(&driver("net", 0, &["virtio:net"])).unwrap();
    manager.load(&driver("reader", 0, &[])).unwrap();
    within(platform, manager, net, |mut device, mut regions| {
        device.open(0).unwrap();
        let region = regions.create(4096).unwrap();
        let mut view = bareflow_regions::View::default();
        regions.open(region, Access::Exclusive, &mut view).unwrap();
        assert_eq!(device.attach(0, region), Err(DeviceError::WrongAccess));
        regions.close(region, view.key).unwrap();
        regions.lend(region, "reader", Access::ReadOnly).unwrap();
        assert_eq!(device.attach(0, region), Err(DeviceError::WrongAccess));
        regions.take_back(region).unwrap();
        regions.lend(region, "reader", Access::Exclusive).unwrap();
        assert_eq!(device.attach(0, region), Err(DeviceError::WrongAccess));
        regions.take_back(region).unwrap();
        device.attach(0, region).unwrap();
        // From now on it is shared memory.
        assert_eq!(regions.open(region, Access::Exclusive, &mut view), Err(RegionError::OtherAccess));
        regions.open(region, Access::Shared, &mut view).unwrap();
    });
}

mod leftovers;
mod owners;
