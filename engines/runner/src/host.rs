//! The place of a call's context and of the linear memory, for the functions that the program imports.

use core::ptr::NonNull;

use bareflow_abi::__private::grow_memory;
use bareflow_abi::Context;
use bareflow_abi::memory::{CANNOT_GROW, MEMORY_PAGE_SIZE};
use wasmi::{Caller, Memory, ResourceLimiter, TrapCode};
use wasmi_core::LimiterError;

/// The store's own data.
#[derive(Debug, Default)]
pub struct Host {
    /// The context of the call under way.
    context: Option<NonNull<Context<'static>>>,
    /// The linear memory, if the program has one.
    pub memory: Option<Memory>,
    /// The bytes that the linear memory can have without asking the loader for pages.
    mapped_bytes: usize,
    /// The record of bindings.
    pub bindings: &'static [u8],
    /// The reason of the call under way.
    pub reason: u32,
}

// SAFETY: the pointer is only used while a call is under way, by the thread that makes it.
unsafe impl Send for Host {}
// SAFETY: a shared reference to the structure gives no access to what the pointer leads to.
unsafe impl Sync for Host {}

impl Host {
    /// Creates the data of a program with these bindings, in whose room so many bytes are mapped.
    #[must_use]
    pub fn new(bindings: &'static [u8], mapped_bytes: usize) -> Host {
        Host { bindings, mapped_bytes, ..Host::default() }
    }

    /// Sets the context of the call that begins, which [`end`](Self::end) takes away again before it is gone.
    pub fn begin(&mut self, context: &mut Context<'_>, reason: u32) {
        self.reason = reason;
        self.context = Some(NonNull::from(context).cast());
    }

    /// Ends the call.
    pub fn end(&mut self) {
        self.context = None;
    }

    /// Returns the context of the call under way.
    pub fn context(&mut self) -> Option<&mut Context<'_>> {
        // SAFETY: `begin` took it from a reference, and `end` comes before the end of its life. The result is borrowed as
        // long as the host is, and nothing that lives shorter than the context is stored in it.
        self.context.map(|mut context| unsafe { shorten(context.as_mut()) })
    }
}

/// Asks the loader for the pages of a memory in a window; tables grow as the heap permits.
impl ResourceLimiter for Host {
    fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> Result<bool, LimiterError> {
        let missing = desired.saturating_sub(self.mapped_bytes);
        if missing == 0 || maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(missing == 0);
        }
        let Some(context) = self.context() else { return Ok(false) };
        let is_grown = grow_memory(context, missing as u64 / MEMORY_PAGE_SIZE) != CANNOT_GROW;
        self.mapped_bytes += if is_grown { missing } else { 0 };
        Ok(is_grown)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool, LimiterError> {
        Ok(true)
    }

    fn instances(&self) -> usize {
        usize::MAX
    }

    fn tables(&self) -> usize {
        usize::MAX
    }

    fn memories(&self) -> usize {
        usize::MAX
    }
}

/// Returns a context with the lifetime of the reference to it.
///
/// # Safety
/// Nothing that lives shorter than the context's own lifetime is stored in it.
unsafe fn shorten<'own>(context: &'own mut Context<'static>) -> &'own mut Context<'own> {
    // SAFETY: as the caller promises.
    unsafe { context.shorten() }
}

/// Returns the linear memory, of length 0 if there is none, and the host.
pub fn split<'caller>(caller: &'caller mut Caller<'_, Host>) -> (&'caller mut [u8], &'caller mut Host) {
    match caller.data().memory {
        Some(memory) => memory.data_and_store_mut(caller),
        None => (&mut [], caller.data_mut()),
    }
}

/// Returns the part of the memory with this address and length.
///
/// # Errors
/// The trap of an access outside of the memory.
pub fn part(memory: &mut [u8], address: u32, length: u32) -> Result<&mut [u8], TrapCode> {
    let start = address as usize;
    let end = start.checked_add(length as usize).ok_or(TrapCode::MemoryOutOfBounds)?;
    memory.get_mut(start..end).ok_or(TrapCode::MemoryOutOfBounds)
}
