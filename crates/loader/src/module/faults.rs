//! The faults of a module so far.

use core::cell::Cell;
use core::num::NonZeroU8;

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;

use crate::diagnosis::Diagnosis;
use crate::fault::{Fault, FaultKind};

/// A [`Fault`] in packed form, in less than half the space; expanded on request.
#[derive(Clone, Copy)]
struct PackedFault {
    address: u64,
    offset: u32,
    /// The kind's number plus one.
    kind: NonZeroU8,
    has_offset: bool,
    has_address: bool,
}

impl From<Fault> for PackedFault {
    fn from(fault: Fault) -> PackedFault {
        // Images end less than four gigabytes from their base.
        let offset = fault.offset.and_then(|offset| u32::try_from(offset).ok());
        PackedFault {
            address: fault.address.unwrap_or_default(),
            offset: offset.unwrap_or_default(),
            kind: NonZeroU8::MIN.saturating_add(fault.kind as u8),
            has_offset: offset.is_some(),
            has_address: fault.address.is_some(),
        }
    }
}

impl PackedFault {
    fn fault(self) -> Option<Fault> {
        Some(Fault {
            kind: *FaultKind::ALL.get(usize::from(self.kind.get() - 1))?,
            offset: self.has_offset.then_some(self.offset.into()),
            address: self.has_address.then_some(self.address),
        })
    }
}

/// The faults and restarts of a module so far.
pub(crate) struct Faults<A: Allocator> {
    last: Cell<Option<PackedFault>>,
    pub(super) diagnosis: Cell<Option<Box<Diagnosis, A>>>,
    /// The number of faults, less those of functions, which count their own.
    pub(crate) count: Cell<u32>,
    pub(crate) restarts: Cell<u32>,
}

impl<A: Allocator> Faults<A> {
    /// Creates an empty record.
    pub(crate) const fn none() -> Faults<A> {
        Faults { last: Cell::new(None), diagnosis: Cell::new(None), count: Cell::new(0), restarts: Cell::new(0) }
    }

    /// Returns the last fault.
    pub(crate) fn last(&self) -> Option<Fault> {
        self.last.get()?.fault()
    }

    /// Returns the bytes of the loader's tables that the diagnosis uses.
    pub(crate) fn table_bytes(&self) -> u64 {
        let diagnosis = self.diagnosis.take();
        let bytes = if diagnosis.is_some() { size_of::<Diagnosis>() } else { 0 };
        self.diagnosis.set(diagnosis);
        bytes as u64
    }

    /// Records a fault, and counts it by `count`. The diagnosis is lost if there is no memory for it.
    pub(crate) fn note(&self, count: &Cell<u32>, fault: Fault, diagnosis: Option<Diagnosis>, allocator: A) {
        count.set(count.get().saturating_add(1));
        self.last.set(Some(PackedFault::from(fault)));
        self.diagnosis.set(diagnosis.and_then(|diagnosis| Box::try_new_in(diagnosis, allocator).ok()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_fault_is_the_same_again() {
        for &kind in FaultKind::ALL {
            for offset in [None, Some(0), Some(0x5fff_ffff)] {
                for address in [None, Some(0), Some(u64::MAX)] {
                    let fault = Fault { kind, offset, address };
                    assert_eq!(PackedFault::from(fault).fault(), Some(fault));
                }
            }
        }
    }
}
