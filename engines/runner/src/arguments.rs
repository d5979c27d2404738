//! The functions by which a program reaches the arguments of the method that is called.
//!
//! While one is called, the input begins with its words, and those of an argument that leads to memory are an address,
//! relative to where such memory lies, and a length.

use core::ptr::{copy_nonoverlapping, with_exposed_provenance_mut};

use bareflow_abi::interface::bindings::Entries;
use bareflow_abi::interface::{ArgumentKind, FIRST_FUNCTION};
use wasmi::{Caller, Error};

use crate::host::{Host, part, split};

/// The size of a word, in bytes.
const WORD: usize = 8;

/// The memory of an argument.
struct Lent {
    kind: ArgumentKind,
    start: *mut u8,
    bytes: usize,
}

/// Copies from an argument: its number, offset there, address, length. Returns the number of bytes that there were.
pub fn argument_read(
    mut caller: Caller<'_, Host>,
    number: u32,
    offset: u32,
    to: u32,
    length: u32,
) -> Result<u32, Error> {
    let (memory, host) = split(&mut caller);
    let room = part(memory, to, length)?;
    let Some(lent) = lent(host, number).filter(|lent| lent.kind != ArgumentKind::Out) else { return Ok(0) };
    let count = lent.bytes.saturating_sub(offset as usize).min(room.len());
    if count > 0 {
        // SAFETY: the caller of the method lends these bytes for the call, and they are not the program's memory.
        unsafe { copy_nonoverlapping(lent.start.add(offset as usize), room.as_mut_ptr(), count) };
    }
    Ok(count as u32)
}

/// Copies to an argument: its number, offset there, address, length. Returns the number of bytes for which there was room.
pub fn argument_write(
    mut caller: Caller<'_, Host>,
    number: u32,
    offset: u32,
    from: u32,
    length: u32,
) -> Result<u32, Error> {
    let (memory, host) = split(&mut caller);
    let bytes = part(memory, from, length)?;
    let Some(lent) = lent(host, number).filter(|lent| lent.kind.is_written()) else { return Ok(0) };
    let count = lent.bytes.saturating_sub(offset as usize).min(bytes.len());
    if count > 0 {
        // SAFETY: the caller of the method lends these bytes for the call, to be written, and they are not the program's
        // memory.
        unsafe { copy_nonoverlapping(bytes.as_ptr(), lent.start.add(offset as usize), count) };
    }
    Ok(count as u32)
}

/// Returns the memory of the argument with this number; `None` if it has none.
fn lent(host: &mut Host, number: u32) -> Option<Lent> {
    let function = host.reason.checked_sub(FIRST_FUNCTION)?;
    let (_, method) = Entries::new(host.bindings).function(function as usize)?;
    let context = host.context()?;
    let (input, [read, written]) = (context.input(), context.bases());
    let (mut words, _) = input.as_chunks::<WORD>();
    let mut kinds = method.shape.kinds();
    for kind in kinds.by_ref().take(number as usize) {
        words = words.get(kind.words()..)?;
    }
    let kind = kinds.next().filter(|kind| *kind != ArgumentKind::Scalar)?;
    let (address, bytes) = (u64::from_le_bytes(*words.first()?), u64::from_le_bytes(*words.get(1)?));
    let base = if kind.is_written() { written } else { read };
    let start = with_exposed_provenance_mut(base.wrapping_add(address) as usize);
    Some(Lent { kind, start, bytes: bytes as usize })
}
