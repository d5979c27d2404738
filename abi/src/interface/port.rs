//! The place that a client's calls go to.

use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;

use super::call_error::Reply;
use super::failure::{Failure, result};
use super::scalar::Scalar;

/// The type of the service that calls a method of an import.
///
/// It takes the [embedder's pointer](crate::Context::embedder), the import's number (in the upper half) with the
/// method's, and the words of the frame, as many as the method's [`Shape`](super::Shape) has. Where a method appends, it
/// replaces the room by the number of bytes that were written.
pub type InvokeService = unsafe extern "C" fn(*mut c_void, u64, *mut u64) -> Reply;

/// A provider, as the clients of an embedder see it.
pub trait Target {
    /// Calls a method, and replaces the room in each `Out`'s words by the number of bytes that were written.
    ///
    /// # Safety
    /// There are as many `words` as the [`Shape`](super::Shape) of this method has, and they fulfil what
    /// [`Frame::new`](super::Frame::new) demands. The interface is the one that the client of this target is for.
    unsafe fn invoke(&self, method: u32, words: *mut u64) -> Reply;
}

/// The place that a client's calls go to. It lives as long as the call that the client was made for.
#[derive(Clone, Copy)]
pub struct Port<'call> {
    first: *mut c_void,
    invoke: InvokeService,
    /// The import's number, in the upper half.
    import: u64,
    borrows: PhantomData<&'call ()>,
}

impl<'call> Port<'call> {
    /// Creates the port of an embedder's client.
    #[must_use]
    pub const fn new(target: &'call &'call dyn Target) -> Port<'call> {
        let first = core::ptr::from_ref(target).cast_mut().cast();
        Port { first, invoke: forward, import: 0, borrows: PhantomData }
    }

    /// Creates the port of a module's import.
    #[inline]
    pub(crate) const fn of_import(first: *mut c_void, invoke: InvokeService, import: u32) -> Port<'call> {
        Port { first, invoke, import: (import as u64) << 32, borrows: PhantomData }
    }

    /// Calls a method. For the macro.
    ///
    /// # Errors
    /// The provider's, or a [`CallError`](super::CallError).
    ///
    /// # Safety
    /// The port is that of an import of the interface whose method this is, and the words are as for [`Target::invoke`].
    #[doc(hidden)]
    #[inline]
    pub unsafe fn call<T: Scalar, E: Failure>(self, method: u32, words: &mut [u64]) -> Result<T, E> {
        // SAFETY: as the caller promises.
        result(unsafe { (self.invoke)(self.first, self.import | u64::from(method), words.as_mut_ptr()) })
    }
}

impl fmt::Debug for Port<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Port").field("import", &(self.import >> 32)).finish_non_exhaustive()
    }
}

/// Passes a call on to a [`Target`].
unsafe extern "C" fn forward(first: *mut c_void, method: u64, words: *mut u64) -> Reply {
    // SAFETY: only `Port::new` uses this function, with such a pointer, which outlives the port.
    let target = unsafe { *first.cast::<&dyn Target>() };
    // SAFETY: as the caller promises.
    unsafe { target.invoke(method as u32, words) }
}
