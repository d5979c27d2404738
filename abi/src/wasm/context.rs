//! The context of a portable module's call. Its methods are those of the native [`Context`](crate::context::Context).

use core::cell::Cell;
use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;
use core::ptr::{NonNull, null_mut};
use core::slice;

use super::{imports, lent, scratch};
use crate::call::{CALL_OK, CallRefusal, CallReply};
use crate::interface::{Arguments, Interface, Port, Reply, Shape};

/// The context of one call. A module gets it as `&mut`, and all its methods are safe for the module.
#[derive(Debug)]
pub struct Context<'call> {
    /// The copy of the input, once it was asked for.
    input: Cell<Option<(NonNull<u8>, usize)>>,
    output_length: usize,
    borrows: PhantomData<&'call [u8]>,
}

impl<'call> Context<'call> {
    pub(super) const fn new() -> Context<'call> {
        Context { input: Cell::new(None), output_length: 0, borrows: PhantomData }
    }

    /// Returns the bytes that the caller passed in. They may be passed on while the context is in use.
    ///
    /// The first call copies them into linear memory; if that can't grow by as much, the module ends as one whose heap is
    /// exhausted.
    #[must_use]
    pub fn input(&self) -> &'call [u8] {
        let (start, length) = self.input.get().unwrap_or_else(|| self.copy_input());
        // SAFETY: the copy stays as it is until the next call.
        unsafe { slice::from_raw_parts(start.as_ptr(), length) }
    }

    #[cold]
    fn copy_input(&self) -> (NonNull<u8>, usize) {
        let length = imports::input_length();
        let Some(start) = scratch::take(length) else { imports::out_of_heap() };
        // SAFETY: as many bytes were just taken.
        let length = unsafe { imports::input_read(0, start.as_ptr(), length) }.min(length);
        self.input.set(Some((start, length)));
        (start, length)
    }

    /// Appends as many of `bytes` to the output as fit. Returns their number.
    ///
    /// They are written through: the engine has them when this returns.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        if lent::is_taken() {
            return 0;
        }
        // SAFETY: pointer and length are those of one slice.
        let count = unsafe { imports::output_write(bytes.as_ptr(), bytes.len()) }.min(bytes.len());
        self.output_length += count;
        count
    }

    /// Appends a word to the output.
    pub(crate) fn write_word(&mut self, word: u64) {
        self.write(&word.to_le_bytes());
    }

    /// Returns the number of output bytes.
    #[must_use]
    pub const fn output_length(&self) -> usize {
        self.output_length
    }

    /// Writes one line to the embedder's log.
    pub fn log(&mut self, line: &str) {
        // SAFETY: pointer and length are those of one string.
        unsafe { imports::log(line.as_ptr(), line.len()) };
    }

    /// Returns the embedder's cycle clock: ticks since some point in the past, which never decrease.
    #[must_use]
    pub fn clock(&mut self) -> u64 {
        imports::clock()
    }

    /// Calls the module `module`.
    ///
    /// The caller's `Cargo.toml` must list it in `package.metadata.bareflow.depends`.
    ///
    /// The active version of the name is called if it is in the declared range, or else the highest version that is.
    ///
    /// # Errors
    /// The reason for which there is no result.
    pub fn call(&mut self, module: &str, input: &[u8], output: &mut [u8]) -> Result<CallReply, CallRefusal> {
        let (room, mut reply) = (output.len(), imports::CallReply::default());
        // SAFETY: pointers and lengths are those of slices that are borrowed until the call is over.
        let status = unsafe {
            let (name, input) = ((module.as_ptr(), module.len()), (input.as_ptr(), input.len()));
            imports::call(name.0, name.1, input.0, input.1, output.as_mut_ptr(), room, &raw mut reply)
        };
        match status {
            CALL_OK => Ok(CallReply { result: reply.result, output_length: room.min(reply.output_length as usize) }),
            refused => Err(CallRefusal::from_number(refused)),
        }
    }

    /// Returns the port of the import with this number. For [`module!`](crate::module).
    ///
    /// # Safety
    /// By the module's bindings, that is an import of the interface `I`.
    #[doc(hidden)]
    #[must_use]
    #[inline]
    pub const unsafe fn import<I: ?Sized>(&self, number: u32) -> Port<'call, I> {
        // SAFETY: as the caller promises.
        unsafe { Port::of_import(null_mut(), invoke, number) }
    }

    /// Takes the arguments of a method of `I`, whose memory is copied; input and output are empty afterwards. For
    /// [`module!`](crate::module).
    ///
    /// # Safety
    /// The call is one of this method.
    #[doc(hidden)]
    pub unsafe fn take_arguments<I: Interface + ?Sized>(&mut self, method: u32) -> Arguments<'call> {
        let shape = I::METHODS.get(method as usize).map_or(Shape::EMPTY, |known| known.shape);
        self.input.set(Some((NonNull::dangling(), 0)));
        // SAFETY: as the caller promises; a method that is unknown has no arguments, and is not called.
        unsafe { lent::take(shape, method) }
    }

    /// Returns the context with the lifetime of a reference to it. For [`module!`](crate::module).
    ///
    /// # Safety
    /// Nothing that lives shorter than `'call` is written to the context.
    #[doc(hidden)]
    #[inline(always)]
    pub unsafe fn shorten<'own>(&'own mut self) -> &'own mut Context<'own> {
        // SAFETY: lifetimes are not part of the layout, and the caller keeps to the longer one.
        unsafe { &mut *core::ptr::from_mut(self).cast() }
    }
}

/// Calls a method of an import.
unsafe extern "C" fn invoke(_: *mut c_void, import_and_method: u64, words: *mut u64) -> Reply {
    let mut value = 0;
    // SAFETY: as the caller promises; addresses among the words are offsets in linear memory.
    let status = unsafe { imports::invoke(import_and_method, words, &raw mut value) };
    Reply { status: status.into(), value }
}

/// Formats into the output; an error means that the output is full.
impl fmt::Write for Context<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.write(text.as_bytes()) == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
