//! The page that a queue and its device share (2.7).

use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

/// The largest queue that fits into a page with both of its rings.
pub const MAX_QUEUE_SIZE: usize = 128;

/// A descriptor (2.7.5).
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct Descriptor {
    pub address: AtomicU64,
    pub length: AtomicU32,
    pub flags: AtomicU16,
    pub next: AtomicU16,
}

/// The driver's ring (2.7.6), which the device reads. A smaller queue uses the beginning of it. What the ring ends with belongs to
/// a feature that is not accepted.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Available {
    pub flags: AtomicU16,
    pub index: AtomicU16,
    pub ring: [AtomicU16; MAX_QUEUE_SIZE],
}

/// An element of the device's ring (2.7.8).
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct UsedElement {
    pub id: AtomicU32,
    pub length: AtomicU32,
}

/// The device's ring, which the driver reads.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Used {
    pub flags: AtomicU16,
    pub index: AtomicU16,
    pub ring: [UsedElement; MAX_QUEUE_SIZE],
}

/// A page with a queue. All of it is numbers that the device may change at any time, and a page of zeros is a valid one.
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct QueuePage {
    pub(super) descriptors: [Descriptor; MAX_QUEUE_SIZE],
    pub(super) available: Available,
    pub(super) used: Used,
}

const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<QueuePage>() == 4096);
    assert!(offset_of!(QueuePage, available).is_multiple_of(2) && offset_of!(QueuePage, used).is_multiple_of(4));
};

impl QueuePage {
    /// The offsets of the descriptors, of what is available and of what is used.
    pub const PARTS: [u64; 3] =
        [0, core::mem::offset_of!(QueuePage, available) as u64, core::mem::offset_of!(QueuePage, used) as u64];
}
