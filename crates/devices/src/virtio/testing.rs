//! A device of a test's own.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, Ordering};

use super::page::QueuePage;
use super::shared::SharedPage;

/// Returns a page of zeros. Tests are short, so it stays.
pub fn page() -> &'static QueuePage {
    let bytes: &'static [AtomicU8; 8192] = Box::leak(Box::new([const { AtomicU8::new(0) }; 8192]));
    let start = bytes.as_ptr();
    // SAFETY: the page lies in the bytes, aligned, which live for ever, are atomic, and of which all patterns are pages.
    unsafe { &*start.add(start.align_offset(4096)).cast::<QueuePage>() }
}

/// Returns a page as it is shared, at an address of its own.
pub fn shared(page: &'static QueuePage) -> SharedPage<QueuePage> {
    // SAFETY: there is no device, and the page stays.
    unsafe { SharedPage::new(page, core::ptr::from_ref(page) as u64) }
}

/// The device's side of a queue.
pub struct Peer {
    page: &'static QueuePage,
    size: u16,
    available: u16,
    used: u16,
}

impl Peer {
    pub fn new(page: &'static QueuePage, size: u16) -> Peer {
        Peer { page, size, available: 0, used: 0 }
    }

    /// Returns the next chain that the driver made available.
    pub fn next(&mut self) -> Option<u32> {
        if self.page.available.index.load(Ordering::Acquire) == self.available {
            return None;
        }
        let id = self.page.available.ring[usize::from(self.available % self.size)].load(Ordering::Relaxed);
        self.available = self.available.wrapping_add(1);
        Some(id.into())
    }

    /// Returns the pieces of a chain: address, length, and whether the device writes them.
    pub fn chain(&self, id: u32) -> Vec<(u64, u32, bool)> {
        let (mut number, mut pieces) = (id as usize, Vec::new());
        loop {
            let descriptor = &self.page.descriptors[number];
            let flags = descriptor.flags.load(Ordering::Relaxed);
            let address = descriptor.address.load(Ordering::Relaxed);
            pieces.push((address, descriptor.length.load(Ordering::Relaxed), flags & 2 != 0));
            if flags & 1 == 0 {
                return pieces;
            }
            number = descriptor.next.load(Ordering::Relaxed).into();
        }
    }

    /// Says that it is done with a chain.
    pub fn give_back(&mut self, id: u32, length: u32) {
        let element = &self.page.used.ring[usize::from(self.used % self.size)];
        element.id.store(id, Ordering::Relaxed);
        element.length.store(length, Ordering::Relaxed);
        self.set_index(self.used.wrapping_add(1));
    }

    pub fn set_index(&mut self, index: u16) {
        self.used = index;
        self.page.used.index.store(index, Ordering::Release);
    }

    /// Writes nonsense over all that only the driver is to write.
    pub fn scribble(&self) {
        for descriptor in &self.page.descriptors {
            descriptor.address.store(u64::MAX, Ordering::Relaxed);
            descriptor.flags.store(u16::MAX, Ordering::Relaxed);
            descriptor.next.store(u16::MAX, Ordering::Relaxed);
        }
        self.page.available.ring.iter().for_each(|place| place.store(u16::MAX, Ordering::Relaxed));
    }

    pub fn wants_interrupts(&self) -> bool {
        self.page.available.flags.load(Ordering::Relaxed) == 0
    }

    pub fn want_no_notifications(&self) {
        self.page.used.flags.store(1, Ordering::Relaxed);
    }
}
