//! The virtio IOMMU that devices are behind, if the firmware names one. It is started before any device may use memory.

use bareflow_device::DeviceError;
use bareflow_devices::iommu::{BufferPage, Domain, Iommu, IommuError, Pages, Viot};
use bareflow_devices::pci::{Command, ConfigurationAccess, DeviceFunction, assign_addresses, find_bars};
use bareflow_devices::virtio::{QueuePage, SharedPage};
use bareflow_suite::console::Style;
use spin::{Mutex, Once};

use super::faults::Faults;
use super::firmware;
use super::ports::{self, HOLE, Ports, function_at, requester_id, taken_by_machine};
use super::setup::{DeviceRegisters, Problem, virtio_device};
use crate::console;
use crate::memory::layout::PAGE_SIZE;
use crate::memory::{frames, physical};

/// The type of virtio device, of which no module gets one, and the identification on PCI, by number and vendor.
pub const TYPE: u16 = 23;
const IDENTIFICATION: u32 = (0x1040 + TYPE as u32) << 16 | 0x1af4;

/// The IOMMU that the firmware names.
struct Found {
    viot: Viot,
    state: Mutex<State>,
}

struct State {
    /// `None` if it is of no use.
    iommu: Option<Iommu<DeviceRegisters>>,
    faults: Faults,
}

static FOUND: Once<Option<Found>> = Once::new();

/// Returns the IOMMU and the number by which it knows a function, if that is behind one.
fn behind(function: DeviceFunction) -> Option<(&'static Found, u32)> {
    let found = FOUND.call_once(find).as_ref()?;
    Some((found, found.viot.endpoint(requester_id(function))?))
}

/// Returns whether a function is behind an IOMMU, and whether that is of use.
pub fn state(function: DeviceFunction) -> Option<bool> {
    behind(function).map(|(found, _)| found.state.lock().iommu.as_ref().is_some_and(|iommu| !iommu.is_lost()))
}

/// Lets a function that the kernel drives itself reach all memory.
///
/// # Errors
/// The IOMMU does not.
pub fn pass(function: DeviceFunction) -> Result<(), IommuError> {
    let Some((found, endpoint)) = behind(function) else { return Ok(()) };
    // One of no use was not told either to keep it from memory.
    found.state.lock().iommu.as_mut().map_or(Ok(()), |iommu| iommu.pass(endpoint))
}

/// Opens the domain of a function, which reaches nothing yet; `None` if that is behind no IOMMU.
///
/// # Errors
/// The IOMMU refuses it, or is of no use.
pub fn open(slot: usize, function: DeviceFunction) -> Result<Option<Domain>, IommuError> {
    let Some((found, endpoint)) = behind(function) else { return Ok(None) };
    found.state.lock().iommu.as_mut().ok_or(IommuError::Lost)?.open(slot as u32, endpoint).map(Some)
}

/// Does `work` with the IOMMU. Says so if it fails.
fn with(work: impl FnOnce(&mut Iommu<DeviceRegisters>) -> Result<(), IommuError>) -> Result<(), DeviceError> {
    let Some(Some(found)) = FOUND.get() else { return Err(DeviceError::BadDevice) };
    let done = found.state.lock().iommu.as_mut().ok_or(IommuError::Lost).and_then(work);
    done.map_err(|error| {
        warn(error);
        DeviceError::BadDevice
    })
}

/// Maps pages in a row, and replaces their addresses by those that the device has, if it is behind an IOMMU.
pub fn map(domain: &mut Option<Domain>, pages: &mut [u64]) -> Result<(), DeviceError> {
    domain.as_mut().map_or(Ok(()), |domain| with(|iommu| iommu.map(domain, pages)))
}

/// Unmaps pages by the addresses that the device has.
pub fn unmap(domain: Option<&Domain>, pages: &[u64]) -> Result<(), DeviceError> {
    domain.map_or(Ok(()), |domain| with(|iommu| iommu.unmap(domain, pages)))
}

/// Closes the domain of a device. Returns whether the device reaches nothing any more.
pub fn close(domain: Domain) -> bool {
    tell_faults();
    with(|iommu| iommu.close(domain)).is_ok()
}

/// Returns the number of faults of a function.
pub fn faults(function: DeviceFunction) -> u64 {
    let Some((found, endpoint)) = behind(function) else { return 0 };
    tell_faults();
    found.state.lock().faults.of(endpoint)
}

/// Takes note of the faults that were reported.
pub fn tell_faults() {
    let Some(Some(found)) = FOUND.get() else { return };
    let Some(mut state) = found.state.try_lock() else { return };
    let State { iommu, faults } = &mut *state;
    let Some(iommu) = iommu else { return };
    match iommu.take_faults(|fault| faults.add(fault, &found.viot)) {
        Ok(_) | Err(IommuError::Lost) => {}
        Err(error) => warn(error),
    }
}

fn warn(error: impl core::fmt::Display) {
    console::show(Style::Warning, format_args!("[WARN] {error}\n"));
}

/// Finds the IOMMU, and starts it.
fn find() -> Option<Found> {
    let table = firmware::table(b"VIOT").inspect_err(|error| warn(error)).ok()??;
    let viot = Viot::parse(&table).inspect_err(|error| warn(error)).ok()??;
    let location = function_at(viot.iommu());
    let iommu = start(location).map_err(|problem| match problem.text {
        Some(text) => warn(format_args!("the IOMMU {location}: {text}; no module gets a device behind it")),
        None => {
            let error = problem.error;
            warn(format_args!("the IOMMU {location} can't be used: {error:?}; no module gets a device behind it"));
        }
    });
    Some(Found { viot, state: Mutex::new(State { iommu: iommu.ok(), faults: Faults::NONE }) })
}

fn start(location: DeviceFunction) -> Result<Iommu<DeviceRegisters>, Problem> {
    let mut root = ports::root().ok_or(DeviceError::BadDevice)?;
    if Ports.read_word(location, 0) != IDENTIFICATION {
        return Err(IommuError::Unable("there is none at the place that the firmware names").into());
    }
    root.set_command(location, Command::INTERRUPT_DISABLE);
    let mut bars = find_bars(&mut root, location)?;
    assign_addresses(&mut root, location, &mut bars, &mut HOLE.lock(), &taken_by_machine)?;
    root.set_command(location, Command::MEMORY_SPACE | Command::INTERRUPT_DISABLE);
    // SAFETY: the addresses were just checked.
    let device = unsafe { virtio_device(location, &bars) }?;
    root.set_command(location, Command::MEMORY_SPACE | Command::BUS_MASTER | Command::INTERRUPT_DISABLE);
    let pages = (zeroed(), zeroed(), zeroed());
    let (Some(first), Some(second), Some(third)) = pages else { return Err(DeviceError::NoMemory.into()) };
    // SAFETY: the frames are zeros, which are a page of a queue and of requests, and stay the IOMMU's for good.
    let pages = unsafe {
        let queue = |page: u64| SharedPage::new(&*physical(page).cast::<QueuePage>(), page);
        let buffers = SharedPage::new(&*physical(third).cast::<BufferPage>(), third);
        Pages { queues: [queue(first), queue(second)], buffers }
    };
    Ok(Iommu::new(device, pages)?)
}

/// Allocates a frame of zeros.
fn zeroed() -> Option<u64> {
    let address = frames::allocate()?.start_address().as_u64();
    // SAFETY: the frame was just allocated, and the physical map covers it.
    unsafe { physical(address).write_bytes(0, PAGE_SIZE as usize) };
    Some(address)
}
