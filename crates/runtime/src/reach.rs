//! The reach of a call beyond its module: the modules that it may call, and the memory that its caller lends to it.

use core::ptr::with_exposed_provenance;

use bareflow_abi::interface::{ArgumentKind, Shape};
use bareflow_loader::Callees;
use bareflow_loader::segments::is_within;

/// The reach of a call beyond its module.
pub struct Reach<'call> {
    /// The modules and imports that it may call, if any.
    pub callees: Option<&'call dyn Callees>,
    /// The shape of its frame, if it is a method's call in the caller's address space.
    pub shape: Shape,
}

impl<'call> Reach<'call> {
    /// Creates the reach of a call that is no method's.
    #[must_use]
    pub const fn of(callees: &'call dyn Callees) -> Reach<'call> {
        Reach { callees: Some(callees), shape: Shape::EMPTY }
    }

    /// Returns whether bytes lie in memory that is lent to the call; `to_write`: to be written.
    ///
    /// # Safety
    /// If the shape is not empty, its words are at `input`, unchanged, and addresses in them are relative to `input` and
    /// `output`: the call was made by [`Frame::call_in_place`](bareflow_abi::interface::Frame::call_in_place).
    #[must_use]
    pub unsafe fn lends(&self, input: u64, output: u64, address: u64, length: u64, to_write: bool) -> bool {
        let mut word = with_exposed_provenance::<u64>(input as usize);
        self.shape.kinds().any(|kind| {
            let words = word;
            word = word.wrapping_add(kind.words());
            let base = match kind {
                ArgumentKind::Scalar => return false,
                ArgumentKind::Text | ArgumentKind::Slice if to_write => return false,
                ArgumentKind::Text | ArgumentKind::Slice => input,
                ArgumentKind::SliceMut | ArgumentKind::Out => output,
            };
            // SAFETY: the shape's words are there, as the caller guarantees.
            let (start, size) = unsafe { (words.read(), words.add(1).read()) };
            is_within(address, length, base.wrapping_add(start), size)
        })
    }
}
