//! The arguments of a call on the provider's side, as the macro reads them.

use core::marker::PhantomData;
use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};
use core::slice;

use super::call_error::CallError;
use super::failure::Failure;
use super::out::Out;
use super::plain::Plain;
use super::scalar::Scalar;

/// The arguments of a call: the number of the method, and the frame in input and output.
#[derive(Debug)]
pub struct Arguments<'call> {
    method: u32,
    input: *const u8,
    input_size: usize,
    output: *mut u8,
    output_size: usize,
    /// The bases of addresses among the words: of what the method reads, and of what it writes.
    bases: [u64; 2],
    borrows: PhantomData<&'call mut [u8]>,
}

impl<'call> Arguments<'call> {
    /// Creates the arguments of a call of the method with this number in its interface.
    ///
    /// # Safety
    /// `input` and `output` are what [`Frame`](super::Frame) makes of a frame of this method's shape: all memory that its
    /// words lead to is borrowed for `'call`, and what the provider may write is nobody else's. There are no other
    /// references to `output` before the call is over, and the interface is the one that is served.
    #[must_use]
    #[inline]
    pub unsafe fn new(method: u32, input: &'call [u8], output: &'call mut [u8]) -> Arguments<'call> {
        // SAFETY: as the caller promises.
        unsafe { Arguments::from_raw(method, (input.as_ptr(), input.len()), (output.as_mut_ptr(), output.len())) }
    }

    /// Creates arguments as `new` does, from addresses and sizes.
    ///
    /// # Safety
    /// As for `new`.
    #[inline]
    pub(crate) unsafe fn from_raw(
        method: u32,
        input: (*const u8, usize),
        output: (*mut u8, usize),
    ) -> Arguments<'call> {
        let bases = [input.0.expose_provenance() as u64, output.0.expose_provenance() as u64];
        // SAFETY: as the caller promises.
        unsafe { Arguments::with_bases(method, input, output, bases) }
    }

    /// Creates arguments as `new` does, with addresses among the words that are relative to `bases`.
    ///
    /// # Safety
    /// As for `new`, but for the addresses.
    #[inline]
    pub(crate) unsafe fn with_bases(
        method: u32,
        (input, input_size): (*const u8, usize),
        (output, output_size): (*mut u8, usize),
        bases: [u64; 2],
    ) -> Arguments<'call> {
        Arguments { method, input, input_size, output, output_size, bases, borrows: PhantomData }
    }

    /// Returns the number of the method.
    #[must_use]
    #[inline]
    pub const fn method(&self) -> u32 {
        self.method
    }

    /// Returns the words of the frame, to be taken in order. For the macro.
    ///
    /// # Errors
    /// [`CallError::BadArgument`] if there are fewer.
    #[doc(hidden)]
    #[inline(always)]
    pub fn words<const WORDS: usize>(&self) -> Result<Words<'call, WORDS>, CallError> {
        if self.input_size < size_of::<[u64; WORDS]>() {
            return Err(CallError::BadArgument);
        }
        // SAFETY: there are as many bytes, as was just checked.
        let words = unsafe { self.input.cast::<[u64; WORDS]>().read_unaligned() };
        let [input, output] = self.bases;
        Ok(Words { words, next: 0, input, output, borrows: PhantomData })
    }

    /// Returns the place of the reply, which has a word for each of `OUTS` arguments to which the method appends. For the
    /// macro.
    ///
    /// # Errors
    /// [`CallError::BadArgument`] if there is no room for it.
    ///
    /// # Safety
    /// The method's shape has so many of them.
    #[doc(hidden)]
    #[inline(always)]
    pub unsafe fn reply<const OUTS: usize>(&self) -> Result<ReplyHeader<'call, OUTS>, CallError> {
        if self.output_size < size_of::<(u64, [u64; OUTS])>() {
            return Err(CallError::BadArgument);
        }
        Ok(ReplyHeader { start: self.output, borrows: PhantomData })
    }
}

/// The words of a call. Each getter takes the next ones, so no memory is given out twice. Addresses are relative to a base
/// for what the method reads, and to another one for what it writes.
///
/// # Safety
/// Each call of a getter that is unsafe demands: the method's shape has an argument of that kind at this place, and no
/// other `Words` of this call exist.
#[doc(hidden)]
#[derive(Debug)]
pub struct Words<'call, const WORDS: usize> {
    words: [u64; WORDS],
    next: usize,
    input: u64,
    output: u64,
    borrows: PhantomData<&'call mut [u8]>,
}

impl<'call, const WORDS: usize> Words<'call, WORDS> {
    #[inline(always)]
    fn take(&mut self) -> Result<u64, CallError> {
        let word = self.words.get(self.next).copied().ok_or(CallError::BadArgument)?;
        self.next += 1;
        Ok(word)
    }

    /// Takes address and number of the elements of `T` that they are; the address is aligned, and not 0.
    #[inline(always)]
    fn memory<T: Plain>(&mut self, base: u64) -> Result<(usize, usize), CallError> {
        let (address, bytes) = (base.wrapping_add(self.take()?), self.take()?);
        let is_aligned = align_of::<T>() == 1 || address.is_multiple_of(align_of::<T>() as u64);
        let is_whole = size_of::<T>() == 1 || bytes.is_multiple_of(size_of::<T>() as u64);
        if bytes == 0 {
            return Ok((align_of::<T>(), 0));
        }
        if address == 0 || !is_aligned || !is_whole || bytes > isize::MAX as u64 {
            return Err(CallError::BadArgument);
        }
        Ok((address as usize, (bytes / size_of::<T>() as u64) as usize))
    }

    /// Takes a scalar.
    ///
    /// # Errors
    /// [`CallError::BadArgument`], here as below, if it is none.
    #[inline(always)]
    pub fn scalar<T: Scalar>(&mut self) -> Result<T, CallError> {
        T::from_word(self.take()?).ok_or(CallError::BadArgument)
    }

    /// Takes a text.
    #[inline(always)]
    pub unsafe fn text(&mut self) -> Result<&'call str, CallError> {
        // SAFETY: as the caller promises.
        utf8(unsafe { self.slice() }?)
    }

    /// Takes a slice.
    #[inline(always)]
    pub unsafe fn slice<T: Plain>(&mut self) -> Result<&'call [T], CallError> {
        let (address, count) = self.memory::<T>(self.input)?;
        // SAFETY: `memory` has checked address and size of what the caller promises to be a slice; `Arguments::new` demands
        // that the memory is borrowed for `'call`, and every pattern of bits is a `T`.
        Ok(unsafe { slice::from_raw_parts(with_exposed_provenance(address), count) })
    }

    /// Takes a slice that may be written.
    #[inline(always)]
    pub unsafe fn slice_mut<T: Plain>(&mut self) -> Result<&'call mut [T], CallError> {
        let (address, count) = self.memory::<T>(self.output)?;
        // SAFETY: as above; what may be written is nobody else's, and given out once.
        Ok(unsafe { slice::from_raw_parts_mut(with_exposed_provenance_mut(address), count) })
    }

    /// Takes a reference to one value.
    #[inline(always)]
    pub unsafe fn one<T: Plain>(&mut self) -> Result<&'call T, CallError> {
        // SAFETY: as the caller promises.
        let [value] = unsafe { self.slice() }? else { return Err(CallError::BadArgument) };
        Ok(value)
    }

    /// Takes a reference to one value that may be written.
    #[inline(always)]
    pub unsafe fn one_mut<T: Plain>(&mut self) -> Result<&'call mut T, CallError> {
        // SAFETY: as the caller promises.
        let [value] = unsafe { self.slice_mut() }? else { return Err(CallError::BadArgument) };
        Ok(value)
    }

    /// Takes room to append to.
    #[inline(always)]
    pub unsafe fn out<T: Plain>(&mut self) -> Result<Out<'call, T>, CallError> {
        // SAFETY: as the caller promises.
        unsafe { self.slice_mut() }.map(Out::new)
    }
}

/// The place of a reply in the output.
#[doc(hidden)]
#[derive(Debug)]
pub struct ReplyHeader<'call, const OUTS: usize> {
    start: *mut u8,
    borrows: PhantomData<&'call mut [u8]>,
}

impl<const OUTS: usize> ReplyHeader<'_, OUTS> {
    /// Writes the reply, with the numbers of bytes that were appended. Returns its status.
    #[inline(always)]
    pub fn answer<T: Scalar, E: Failure>(self, answer: Result<T, E>, appended: [u64; OUTS]) -> u32 {
        let (status, value) = match answer {
            Ok(value) => (0, value.to_word()),
            Err(error) => (error.number(), 0),
        };
        // SAFETY: `Arguments::reply` has checked that there is room, and the method, the only one to have references into
        // the output, is done.
        unsafe {
            self.start.cast::<u64>().write_unaligned(value);
            self.start.add(size_of::<u64>()).cast::<[u64; OUTS]>().write_unaligned(appended);
        }
        status
    }
}

/// Returns a text's bytes as a text.
#[inline(never)]
fn utf8(bytes: &[u8]) -> Result<&str, CallError> {
    core::str::from_utf8(bytes).map_err(|_| CallError::BadArgument)
}
