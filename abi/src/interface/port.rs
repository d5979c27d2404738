//! The place that a client's calls go to.

use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;
use core::slice::from_raw_parts_mut;

use super::Interface;
use super::call_error::{CallError, Reply};
use super::failure::{Failure, result};
use super::frame::Frame;
use super::scalar::Scalar;

/// The type of the service that calls a method of an import.
///
/// It takes the [embedder's pointer](crate::Context::embedder), the import's number (in the upper half) with the
/// method's, and the words of the frame, as many as the method's [`Shape`](super::Shape) has. Where a method appends, it
/// replaces the room by the number of bytes that were written.
pub type InvokeService = unsafe extern "C" fn(*mut c_void, u64, *mut u64) -> Reply;

/// A provider, as the [clients](client) of an embedder see it.
pub trait Target {
    /// Calls a method, whose shape the frame has.
    fn invoke(&self, method: u32, frame: &mut Frame<'_>) -> Reply;
}

/// Returns a client of the interface `I` whose calls go to `target`, for an embedder.
#[must_use]
pub fn client<I: Interface + ?Sized, T: Target>(target: &T) -> I::Client<'_> {
    let first = core::ptr::from_ref(target).cast_mut().cast();
    I::client(Port { first, invoke: forward::<I, T>, import: NO_IMPORT, borrows: PhantomData })
}

/// The number in the port of an embedder's client, which is none of an import.
const NO_IMPORT: u64 = (u32::MAX as u64) << 32;

/// The place that calls by a client of the interface `I` go to. It lives as long as the call that the client was made for.
pub struct Port<'call, I: ?Sized> {
    first: *mut c_void,
    invoke: InvokeService,
    /// The import's number, in the upper half.
    import: u64,
    borrows: PhantomData<(&'call (), *const I)>,
}

impl<I: ?Sized> Clone for Port<'_, I> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<I: ?Sized> Copy for Port<'_, I> {}

impl<'call, I: ?Sized> Port<'call, I> {
    /// Creates the port of a module's import.
    ///
    /// # Safety
    /// The import with this number is one of `I`.
    #[inline]
    pub(crate) const unsafe fn of_import(first: *mut c_void, invoke: InvokeService, import: u32) -> Port<'call, I> {
        Port { first, invoke, import: (import as u64) << 32, borrows: PhantomData }
    }

    /// Returns whether this is the port of a module's import, so that the loader decides who answers.
    #[must_use]
    #[inline]
    pub const fn is_import(&self) -> bool {
        self.import != NO_IMPORT
    }

    /// Calls a method. For the macro.
    ///
    /// # Errors
    /// The provider's, or a [`CallError`](super::CallError).
    ///
    /// # Safety
    /// The words are those of this method of `I`, and fulfil what [`Frame::new`] demands.
    #[doc(hidden)]
    #[inline]
    pub unsafe fn call<T: Scalar, E: Failure>(self, method: u32, words: &mut [u64]) -> Result<T, E> {
        // SAFETY: as the caller promises.
        result(unsafe { (self.invoke)(self.first, self.import | u64::from(method), words.as_mut_ptr()) })
    }
}

impl<I: ?Sized> fmt::Debug for Port<'_, I> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Port").field("import", &(self.import >> 32)).finish_non_exhaustive()
    }
}

/// Passes a call by a client of the interface `I` on to a [`Target`].
unsafe extern "C" fn forward<I: Interface + ?Sized, T: Target>(
    first: *mut c_void,
    method: u64,
    words: *mut u64,
) -> Reply {
    // SAFETY: only `client` uses this function, with such a pointer, which outlives the port.
    let target = unsafe { &*first.cast::<T>() };
    let method = method as u32;
    let Some(known) = I::METHODS.get(method as usize) else { return CallError::NoSuchMethod.into() };
    // SAFETY: the client is one of `I`, which passes as many words as this method's shape has.
    let words = unsafe { from_raw_parts_mut(words, known.shape.words()) };
    // SAFETY: they are those of slices that the client's method has borrowed; each that is written is borrowed alone.
    match unsafe { Frame::new(known.shape, words) } {
        Some(mut frame) => target.invoke(method, &mut frame),
        None => CallError::BadArgument.into(),
    }
}
