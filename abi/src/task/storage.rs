//! The place of a task's future in the module's data.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::pin::Pin;
use core::ptr::drop_in_place;
use core::sync::atomic::AtomicU8;
use core::sync::atomic::Ordering::Relaxed;
use core::task::{Context, Poll};

/// The alignment of a place, in bytes. A future with a greater one lies further back in it.
const ALIGN: usize = 16;

const NEW: u8 = 0;
const STARTED: u8 = 1;
const ENDED: u8 = 2;

/// Room of `ROOM` bytes for one future.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct Storage<const ROOM: usize> {
    room: UnsafeCell<MaybeUninit<[u8; ROOM]>>,
    phase: AtomicU8,
}

// SAFETY: only `poll` reaches the room, and its caller promises that its calls do not overlap.
unsafe impl<const ROOM: usize> Sync for Storage<ROOM> {}

/// Returns the room for a future of type `F`, in bytes.
pub(super) const fn room_for<F>() -> usize {
    size_of::<F>() + align_of::<F>().saturating_sub(ALIGN)
}

impl<const ROOM: usize> Storage<ROOM> {
    /// Creates an empty place.
    #[expect(clippy::new_without_default, reason = "it is made for statics")]
    #[must_use]
    pub const fn new() -> Storage<ROOM> {
        Storage { room: UnsafeCell::new(MaybeUninit::uninit()), phase: AtomicU8::new(NEW) }
    }

    /// Returns the address of a future of type `F`.
    fn address<F>(&self) -> *mut F {
        const { assert!(room_for::<F>() <= ROOM, "the place is one for another future") }
        let start = self.room.get().cast::<u8>();
        if align_of::<F>() > ALIGN {
            start.wrapping_add(start.align_offset(align_of::<F>())).cast()
        } else {
            start.cast()
        }
    }

    /// Polls the future, which `start` makes at the first call, and drops it at its end. Returns `None` after that.
    ///
    /// # Safety
    /// All calls have the same `F`, and do not overlap.
    pub(super) unsafe fn poll<F: Future>(
        &'static self,
        start: impl FnOnce() -> F,
        context: &mut Context<'_>,
    ) -> Option<Poll<F::Output>> {
        let future = self.address::<F>();
        match self.phase.load(Relaxed) {
            // SAFETY: there is room for the future at its alignment, and nothing else reaches it.
            NEW => unsafe { future.write(start()) },
            ENDED => return None,
            _ => {}
        }
        self.phase.store(STARTED, Relaxed);
        // SAFETY: a future lies there since the first call, and is not moved until it is dropped.
        let polled = unsafe { Pin::new_unchecked(&mut *future) }.poll(context);
        if polled.is_ready() {
            self.phase.store(ENDED, Relaxed);
            // SAFETY: the same; from now on the phase keeps everyone away from it.
            unsafe { drop_in_place(future) };
        }
        Some(polled)
    }
}
