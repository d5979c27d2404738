//! All devices of the machine, and the addresses that are taken.

use core::fmt;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use alloc::vec::Vec;

use bareflow_abi::devices::DeviceIds;
use bareflow_devices::pci::{Bars, DeviceFunction, find_bars, scan};
use spin::{Mutex, Once};
use virtio_drivers::transport::DeviceType;
use x86_64::instructions::interrupts::without_interrupts;

use super::ports::{self, Ports, taken_by_machine};
use super::{ecam, iommu, mmio};

/// The class of bridges, which no one drives.
const BRIDGE: u8 = 6;

/// The types of virtio devices of which the kernel drives the first itself, its disk and its channel, or may do so later.
const OWN_TYPES: [DeviceType; 2] = [DeviceType::Block, DeviceType::Console];

/// The place of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A function on PCI.
    Pci(DeviceFunction),
    /// The address of its registers, on a machine without a bus.
    Mmio(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Pci(function) => write!(f, "{function}"),
            Place::Mmio(address) => write!(f, "{address:#x}"),
        }
    }
}

/// A device.
pub struct Known {
    pub place: Place,
    pub ids: DeviceIds,
    /// Whether it is the kernel's own.
    pub is_own: bool,
    /// Whether it did not end a reset. It is not used any more.
    pub is_lost: AtomicBool,
    /// The registers on PCI, as far as they are known.
    bars: Mutex<Bars>,
}

impl Known {
    /// Keeps where the function's registers are.
    pub fn set_bars(&self, bars: Bars) {
        *self.bars.lock() = bars;
    }

    /// Returns whether it did not end a reset.
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }
}

/// All devices, in the order of their places; as many as a word has bits.
static ALL: Once<Vec<Known>> = Once::new();

/// Returns all devices but bridges, in the order of their places.
pub fn all() -> &'static [Known] {
    ALL.call_once(|| {
        let mut found = Found { all: Vec::new(), own: OWN_TYPES.map(Some) };
        match ports::root() {
            Some(root) => {
                scan(&root, &Ports, |function| {
                    function.is_bridge
                        || function.ids.class == BRIDGE
                        || found.add(Place::Pci(function.location), function.ids)
                });
            }
            // What can't be mapped is not there.
            None => {
                _ = mmio::scan(|address, virtio| {
                    found.add(Place::Mmio(address), DeviceIds { virtio, ..DeviceIds::default() })
                })
            }
        }
        let mut all = found.all;
        all.sort_unstable_by_key(|known| known.place);
        find_registers(&all);
        all
    })
}

/// The devices that were found, and the types of which the kernel has none of its own yet.
struct Found {
    all: Vec<Known>,
    own: [Option<DeviceType>; OWN_TYPES.len()],
}

impl Found {
    /// Adds a device. Returns whether there was room.
    fn add(&mut self, place: Place, ids: DeviceIds) -> bool {
        let has_room = self.all.len() < u64::BITS as usize && self.all.try_reserve(1).is_ok();
        if has_room {
            // The first that is met, as `virtio::find` takes it.
            let first = self.own.iter_mut().find(|own| own.is_some_and(|own| own as u16 == ids.virtio));
            let is_own = first.and_then(Option::take).is_some() || ids.virtio == iommu::TYPE;
            let (is_lost, bars) = (AtomicBool::new(false), Mutex::new(Bars::default()));
            self.all.push(Known { place, ids, is_own, is_lost, bars });
        }
        has_room
    }
}

/// Finds where the registers of functions on PCI are.
fn find_registers(all: &[Known]) {
    let Some(mut root) = ports::root() else { return };
    for known in all {
        let Place::Pci(function) = known.place else { continue };
        // It does not answer for a moment; the kernel's own are used by ticks, too.
        let bars = without_interrupts(|| find_bars(&mut root, function));
        // One whose registers can't be is not opened either.
        known.set_bars(bars.unwrap_or_default());
    }
}

/// Returns a range that meets `range` and is the machine's or another function's than that at `location`, if there is one.
pub fn taken(location: DeviceFunction, range: &Range<u64>) -> Option<Range<u64>> {
    let others = all().iter().filter(|known| known.place != Place::Pci(location));
    let of_others = || others.flat_map(|known| *known.bars.lock()).flatten().find_map(|bar| bar.meets(range));
    taken_by_machine(range).or_else(|| ecam::taken(range)).or_else(of_others)
}
