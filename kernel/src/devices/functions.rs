//! All functions on PCI, and the addresses that are taken.

use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use alloc::vec::Vec;

use bareflow_devices::pci::{Bars, DeviceFunction, Function, find_bars, scan};
use spin::{Mutex, Once};
use virtio_drivers::transport::DeviceType;
use x86_64::instructions::interrupts::without_interrupts;

use super::iommu;
use super::ports::{self, Ports, taken_by_machine};

/// The class of bridges, which no one drives.
const BRIDGE: u8 = 6;

/// The types of virtio devices of which the kernel drives the first itself, its disk and its channel, or may do so later.
const OWN_TYPES: [DeviceType; 2] = [DeviceType::Block, DeviceType::Console];

/// A function.
pub struct Known {
    pub function: Function,
    /// Whether it is the kernel's own.
    pub is_own: bool,
    /// Whether it did not end a reset. It is not used any more.
    pub is_lost: AtomicBool,
    /// The registers, as far as they are known.
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

/// All functions that are no bridges, in the order of their places; as many as a word has bits.
static ALL: Once<Vec<Known>> = Once::new();

/// Returns all functions that are no bridges, in the order of their places.
pub fn all() -> &'static [Known] {
    ALL.call_once(|| {
        let (mut all, mut own) = (Vec::new(), OWN_TYPES.map(Some));
        let Some(mut root) = ports::root() else { return all };
        scan(&root, &Ports, |function| {
            let has_room = all.len() < u64::BITS as usize && all.try_reserve(1).is_ok();
            if has_room && !function.is_bridge && function.ids.class != BRIDGE {
                // The first that is met, as `virtio::find` takes it.
                let first = own.iter_mut().find(|own| own.is_some_and(|own| own as u16 == function.ids.virtio));
                let is_own = first.and_then(Option::take).is_some() || function.ids.virtio == iommu::TYPE;
                let (is_lost, bars) = (AtomicBool::new(false), Mutex::new(Bars::default()));
                all.push(Known { function: *function, is_own, is_lost, bars });
            }
            has_room
        });
        all.sort_unstable_by_key(|known: &Known| known.function.location);
        for known in &all {
            // It does not answer for a moment; the kernel's own are used by ticks, too.
            let bars = without_interrupts(|| find_bars(&mut root, known.function.location));
            // One whose registers can't be is not opened either.
            known.set_bars(bars.unwrap_or_default());
        }
        all
    })
}

/// Returns a range that meets `range` and is the machine's or another function's than that at `location`, if there is one.
pub fn taken(location: DeviceFunction, range: &Range<u64>) -> Option<Range<u64>> {
    let others = all().iter().filter(|known| known.function.location != location);
    let of_others = || others.flat_map(|known| *known.bars.lock()).flatten().find_map(|bar| bar.meets(range));
    taken_by_machine(range).or_else(of_others)
}
