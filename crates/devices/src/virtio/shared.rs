//! Memory that a device and this crate share.

use alloc::vec::Vec;

/// A page that is shared with a device, and its address as the device has it.
#[derive(Debug)]
pub struct SharedPage<T: 'static> {
    page: &'static T,
    address: u64,
}

impl<T> SharedPage<T> {
    /// Shares a page.
    ///
    /// # Safety
    /// By `address` a device meets the page and nothing else, and no one else writes to it. Both stay so until the device that gets
    /// it is reset, or is no bus master any more.
    #[allow(unsafe_code, reason = "the caller promises what no code here can check")]
    #[must_use]
    pub const unsafe fn new(page: &'static T, address: u64) -> SharedPage<T> {
        SharedPage { page, address }
    }

    /// Returns the page.
    #[must_use]
    pub const fn page(&self) -> &'static T {
        self.page
    }

    /// Returns the address.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }
}

/// Pages that a device may read and write, by their addresses as it has them.
#[derive(Debug)]
pub struct DevicePages(Vec<u64>);

impl DevicePages {
    /// Lets a device use pages.
    ///
    /// # Safety
    /// By the addresses a device meets memory that it may change at any time, and nothing else. That stays so until they are
    /// detached, the device is reset, or it is no bus master any more.
    #[allow(unsafe_code, reason = "the caller promises what no code here can check")]
    #[must_use]
    pub const unsafe fn new(addresses: Vec<u64>) -> DevicePages {
        DevicePages(addresses)
    }

    /// Returns the addresses.
    #[must_use]
    pub fn addresses(&self) -> &[u64] {
        &self.0
    }
}
