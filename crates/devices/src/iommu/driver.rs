//! The driver of a virtio IOMMU: a domain for each device, with what is mapped for it.
//!
//! That the IOMMU keeps devices to what is mapped can't be checked.

use super::error::IommuError;
use super::messages::{Fault, Request};
use super::queues::{Pages, Queues};
use crate::registers::Registers;
use crate::virtio::VirtioDevice;

/// The features that are used (5.13.3).
const INPUT_RANGE: u64 = 1 << 0;
const DOMAIN_RANGE: u64 = 1 << 1;
const MAP_UNMAP: u64 = 1 << 2;
const BYPASS_CONFIG: u64 = 1 << 6;
const WANTED: u64 = INPUT_RANGE | DOMAIN_RANGE | MAP_UNMAP | BYPASS_CONFIG;

/// The offsets of the configuration (5.13.4).
const PAGE_SIZES: u32 = 0;
const INPUTS: u32 = 8;
const DOMAINS: u32 = 24;
const BYPASS: u32 = 36;

/// The size of a page, and the first address that a device gets: what it is given by mistake is no address of the machine's
/// first memory.
const PAGE_SIZE: u64 = 4096;
const FIRST_ADDRESS: u64 = 4 << 30;

/// The addresses of one device.
#[derive(Debug)]
pub struct Domain {
    number: u32,
    endpoint: u32,
    /// The next address: none is used twice.
    next: u64,
}

/// A virtio IOMMU.
#[derive(Debug)]
pub struct Iommu<R> {
    queues: Queues<R>,
    /// The first and the last domain.
    domains: (u32, u32),
    /// The last address that a device may get.
    last_address: u64,
}

impl<R: Registers> Iommu<R> {
    /// Starts an IOMMU that was just reset. From then on no device that is not in a domain reaches memory.
    ///
    /// # Errors
    /// It can't be used.
    pub fn new(mut device: VirtioDevice<R>, pages: Pages) -> Result<Iommu<R>, IommuError> {
        let features = device.negotiate(WANTED)?;
        let unable = |why| Err(IommuError::Unable(why));
        if features & MAP_UNMAP == 0 {
            return unable("it maps nothing");
        }
        if features & BYPASS_CONFIG == 0 {
            return unable("devices can't be kept from going past it");
        }
        // Addresses are those of pages, and of no larger ones.
        if device.config_u64(PAGE_SIZES)?.trailing_zeros() > PAGE_SIZE.trailing_zeros() {
            return unable("its pages are larger than 4 KiB");
        }
        let (first, last_address) = match features & INPUT_RANGE {
            0 => (0, u64::MAX),
            _ => (device.config_u64(INPUTS)?, device.config_u64(INPUTS + 8)?),
        };
        let domains = match features & DOMAIN_RANGE {
            0 => (0, u32::MAX),
            _ => (device.config_u32(DOMAINS)?, device.config_u32(DOMAINS + 4)?),
        };
        if first > FIRST_ADDRESS || last_address <= FIRST_ADDRESS {
            return unable("it does not take addresses from 4 GiB on");
        }
        if domains.0 >= domains.1 {
            return unable("it has no two domains");
        }
        let mut queues = Queues::start(device, pages)?;
        queues.device.set_config(BYPASS, 0)?;
        let mut bypass = [1];
        queues.device.config(BYPASS, &mut bypass)?;
        if bypass != [0] {
            return unable("it lets devices go past it though it is told not to");
        }
        Ok(Iommu { queues, domains, last_address })
    }

    /// Lets an endpoint reach all memory: one that is driven by the kernel itself.
    ///
    /// # Errors
    /// The IOMMU refuses it, or is of no use any more.
    pub fn pass(&mut self, endpoint: u32) -> Result<(), IommuError> {
        self.queues.ask(Request::Attach { domain: self.domains.0, endpoint, bypass: true })
    }

    /// Opens the domain `number` for an endpoint, which reaches nothing yet.
    ///
    /// # Errors
    /// As above.
    pub fn open(&mut self, number: u32, endpoint: u32) -> Result<Domain, IommuError> {
        let number = self.domains.0.checked_add(1).and_then(|first| first.checked_add(number));
        let number = number.filter(|number| *number <= self.domains.1);
        let number = number.ok_or(IommuError::Unable("it has no more domains"))?;
        self.queues.ask(Request::Attach { domain: number, endpoint, bypass: false })?;
        Ok(Domain { number, endpoint, next: FIRST_ADDRESS })
    }

    /// Maps pages in a row, and replaces their addresses by those that the device has. Nothing is mapped after an error.
    ///
    /// # Errors
    /// As above, or there are no more addresses.
    pub fn map(&mut self, domain: &mut Domain, pages: &mut [u64]) -> Result<(), IommuError> {
        let first = domain.next;
        let bytes = (pages.len() as u64).checked_mul(PAGE_SIZE).filter(|bytes| *bytes > 0);
        // A page behind each memory stays free: what goes beyond the end meets nothing.
        let next = bytes.and_then(|bytes| first.checked_add(bytes)?.checked_add(PAGE_SIZE));
        domain.next = next.filter(|next| *next <= self.last_address).ok_or(IommuError::NoAddresses)?;
        let mut address = first;
        for run in pages.chunk_by_mut(|page, next| page.checked_add(PAGE_SIZE) == Some(*next)) {
            let memory = run.first().copied().unwrap_or_default();
            let end = address + run.len() as u64 * PAGE_SIZE;
            let mapped = self.queues.ask(Request::Map { domain: domain.number, addresses: (address, end - 1), memory });
            if let Err(error) = mapped {
                if address > first {
                    // If this fails, too, the IOMMU is of no use: the device reaches these pages until it is closed.
                    self.queues
                        .ask(Request::Unmap { domain: domain.number, addresses: (first, address - 1) })
                        .inspect_err(|_| self.queues.give_up())?;
                }
                return Err(error);
            }
            run.iter_mut().zip((address..end).step_by(PAGE_SIZE as usize)).for_each(|(page, own)| *page = own);
            address = end;
        }
        Ok(())
    }

    /// Unmaps pages by the addresses that [`map`](Self::map) gave them.
    ///
    /// # Errors
    /// As above; the device may still reach them.
    pub fn unmap(&mut self, domain: &Domain, pages: &[u64]) -> Result<(), IommuError> {
        let (Some(first), Some(last)) = (pages.first(), pages.last()) else { return Ok(()) };
        self.queues.ask(Request::Unmap { domain: domain.number, addresses: (*first, last + PAGE_SIZE - 1) })
    }

    /// Closes a domain: its device reaches nothing any more.
    ///
    /// # Errors
    /// As above; the device may still reach what was mapped, so nothing more is asked of the IOMMU: the next domain of this number
    /// would have it, too.
    pub fn close(&mut self, domain: Domain) -> Result<(), IommuError> {
        let Domain { number, endpoint, next } = domain;
        let unmapped = if next > FIRST_ADDRESS {
            self.queues.ask(Request::Unmap { domain: number, addresses: (FIRST_ADDRESS, next - 1) })
        } else {
            Ok(())
        };
        let closed = self.queues.ask(Request::Detach { domain: number, endpoint }).and(unmapped);
        closed.inspect_err(|_| self.queues.give_up())
    }

    /// Returns whether it was given up, after an answer that never came, or that broke the rules, or since a device may reach more
    /// than it was given.
    pub fn is_lost(&self) -> bool {
        self.queues.is_lost()
    }

    /// Passes the faults that were reported to `put`: as many as there is room for at once, at the most. Returns how many
    /// reports were taken.
    ///
    /// # Errors
    /// The IOMMU broke the rules, now or before.
    pub fn take_faults(&mut self, put: impl FnMut(Fault)) -> Result<usize, IommuError> {
        self.queues.take_faults(put)
    }
}

#[cfg(test)]
mod tests;
