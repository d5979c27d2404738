//! The memory that a device and its driver share.
//!
//! The driver's buffers may lie anywhere, also on stacks, whose pages are not contiguous in physical memory. Each
//! piece therefore goes through a frame of the device's own, and a device that answers too late writes only to that
//! frame.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use virtio_drivers::{BufferDirection, Hal, PhysAddr};
use x86_64::structures::paging::PhysFrame;

use crate::memory::layout::PAGE_SIZE;
use crate::memory::{frames, physical};

/// The size of the largest piece, in bytes.
pub const PIECE_SIZE: usize = PAGE_SIZE as usize;

/// The pieces of all devices: three of a request to the disk (the header, the data, the status), one for each
/// direction of the channel.
const PIECES: usize = 5;

/// The frame of a piece.
struct PieceFrame {
    /// 0 before [`prepare`].
    address: AtomicU64,
    /// Whether a driver or a device uses it.
    used: AtomicBool,
}

/// The frames of the pieces. There is no lock: a tick receives from the channel while it interrupts a request to the
/// disk.
static PIECE_FRAMES: [PieceFrame; PIECES] =
    [const { PieceFrame { address: AtomicU64::new(0), used: AtomicBool::new(true) } }; PIECES];

/// Allocates frames for the `count` pieces that one device shares at a time. Returns whether there were enough.
pub fn prepare(count: usize) -> bool {
    let mut prepared = 0;
    for piece in PIECE_FRAMES.iter().filter(|piece| piece.address.load(Ordering::Relaxed) == 0).take(count) {
        let Some(frame) = frames::allocate() else { return false };
        piece.address.store(frame.start_address().as_u64(), Ordering::Relaxed);
        piece.used.store(false, Ordering::Release);
        prepared += 1;
    }
    prepared == count
}

/// The kernel's memory, in the form that the driver requires.
pub struct KernelHal;

// SAFETY: `dma_alloc` returns frames that belong to no one else, zeroed and mapped contiguously by the physical map.
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

    /// Frees nothing: the device has the addresses, and may not have ended its reset. Queues are dropped when a device does not
    /// start, once.
    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    /// Maps nothing. Only the crate's transport for PCI calls this, which is not used.
    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::dangling()
    }

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        // Each queue has one running request, of at most as many pieces as its driver prepared before the first one.
        // `VirtioDisk` and `Channel` cut the data at `PIECE_SIZE`. After an answer that does not come they send no
        // more requests.
        let free = |piece: &&PieceFrame| !piece.used.swap(true, Ordering::Acquire);
        let piece = PIECE_FRAMES.iter().find(free).filter(|_| buffer.len() <= PIECE_SIZE);
        let piece = piece.expect("as many pieces as were prepared, of a page at the most");
        let address = piece.address.load(Ordering::Relaxed);
        if direction != BufferDirection::DeviceToDriver {
            // SAFETY: the buffer is valid, as the caller guarantees; the frame is at least as long, and belongs to no
            // one else.
            unsafe { physical(address).copy_from_nonoverlapping(buffer.cast().as_ptr(), buffer.len()) };
        }
        address
    }

    unsafe fn unshare(paddr: PhysAddr, buffer: NonNull<[u8]>, direction: BufferDirection) {
        if direction != BufferDirection::DriverToDevice {
            // SAFETY: `share` chose this frame for this buffer, so the frame is at least as long; the device is done
            // with it.
            unsafe { buffer.cast::<u8>().as_ptr().copy_from_nonoverlapping(physical(paddr), buffer.len()) };
        }
        for piece in PIECE_FRAMES.iter().filter(|piece| piece.address.load(Ordering::Relaxed) == paddr) {
            piece.used.store(false, Ordering::Release);
        }
    }
}

/// Frees contiguous frames.
fn release(start: u64, size: u64) {
    for address in (start..start + size).step_by(PAGE_SIZE as usize) {
        let frame = PhysFrame::containing_address(x86_64::PhysAddr::new(address));
        // SAFETY: `frames::allocate` returned it, and the device is done with it.
        unsafe { frames::release(frame) };
    }
}
