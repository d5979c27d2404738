//! The memory that a device and its driver share.
//!
//! The driver's buffers may lie anywhere, also on stacks, whose pages are not contiguous in physical memory. Each
//! piece therefore goes through a frame of the device's own, and a device that answers too late writes only to that
//! frame.

use core::ptr::NonNull;

use spin::Mutex;
use virtio_drivers::{BufferDirection, Hal, PhysAddr};
use x86_64::structures::paging::PhysFrame;

use super::window;
use crate::memory::layout::PAGE_SIZE;
use crate::memory::{frames, physical};

/// The size of the largest piece, in bytes.
pub const PIECE_SIZE: usize = PAGE_SIZE as usize;

/// The pieces of all devices: three of a request to the disk (the header, the data, the status), one for each
/// direction of the channel.
const PIECES: usize = 5;

/// The frames of the pieces, each with its address, 0 before [`prepare`], and whether it is in use.
static PIECE_FRAMES: Mutex<[(u64, bool); PIECES]> = Mutex::new([(0, false); PIECES]);

/// Allocates frames for the `count` pieces that one device shares at a time. Returns whether there were enough.
pub fn prepare(count: usize) -> bool {
    let mut pieces = PIECE_FRAMES.lock();
    let mut prepared = 0;
    for (address, _) in pieces.iter_mut().filter(|(address, _)| *address == 0).take(count) {
        *address = frames::allocate().map_or(0, |frame| frame.start_address().as_u64());
        prepared += usize::from(*address != 0);
    }
    prepared == count
}

/// The kernel's memory, in the form that the driver requires.
pub struct KernelHal;

// SAFETY: `dma_alloc` returns frames that belong to no one else, zeroed and mapped contiguously by the physical map;
// registers were mapped by `window`, only for the driver.
unsafe impl Hal for KernelHal {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let wanted = pages as u64 * PAGE_SIZE;
        let (start, size) = match pages {
            1 => frames::allocate().map_or((0, 0), |frame| (frame.start_address().as_u64(), PAGE_SIZE)),
            _ => frames::allocate_largest(wanted, (1, 1)),
        };
        if size < wanted {
            release(start, size);
            // An address of 0 means that there was no memory.
            return (0, NonNull::dangling());
        }
        let address = physical(start);
        // SAFETY: the frames were just allocated, and the physical map covers them.
        unsafe { address.write_bytes(0, pages * PAGE_SIZE as usize) };
        (start, NonNull::new(address).unwrap_or(NonNull::dangling()))
    }

    unsafe fn dma_dealloc(paddr: PhysAddr, _: NonNull<u8>, pages: usize) -> i32 {
        release(paddr, pages as u64 * PAGE_SIZE);
        0
    }

    unsafe fn mmio_phys_to_virt(paddr: PhysAddr, size: usize) -> NonNull<u8> {
        // `pci::find` has mapped all ranges of the device and refused capabilities whose end overflows.
        // `PciTransport` checks that the rest lie in their range before it calls this (`get_bar_region`).
        // `MmioTransport` never calls it.
        window::find(paddr, size as u64).expect("registers outside the ranges that the device has")
    }

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        // Each queue has one running request, of at most as many pieces as its driver prepared before the first one.
        // `VirtioDisk` and `Channel` cut the data at `PIECE_SIZE`. After an answer that does not come they send no
        // more requests.
        let mut frames = PIECE_FRAMES.lock();
        let is_free = |(address, used): &&mut (u64, bool)| *address != 0 && !*used;
        let free = frames.iter_mut().find(is_free).filter(|_| buffer.len() <= PIECE_SIZE);
        let (address, used) = free.expect("as many pieces as were prepared, of a page at the most");
        *used = true;
        if direction != BufferDirection::DeviceToDriver {
            // SAFETY: the buffer is valid, as the caller guarantees; the frame is at least as long, and belongs to no
            // one else.
            unsafe { physical(*address).copy_from_nonoverlapping(buffer.cast().as_ptr(), buffer.len()) };
        }
        *address
    }

    unsafe fn unshare(paddr: PhysAddr, buffer: NonNull<[u8]>, direction: BufferDirection) {
        let mut frames = PIECE_FRAMES.lock();
        if direction != BufferDirection::DriverToDevice {
            // SAFETY: `share` chose this frame for this buffer, so the frame is at least as long; the device is done
            // with it.
            unsafe { buffer.cast::<u8>().as_ptr().copy_from_nonoverlapping(physical(paddr), buffer.len()) };
        }
        for (_, used) in frames.iter_mut().filter(|(address, _)| *address == paddr) {
            *used = false;
        }
    }
}

/// Frees contiguous frames.
fn release(start: u64, size: u64) {
    for address in (start..start + size).step_by(PAGE_SIZE as usize) {
        frames::release(PhysFrame::containing_address(x86_64::PhysAddr::new(address)));
    }
}
