//! The service `invoke`: the checks of a frame that a module passes.

use core::mem::MaybeUninit;
use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};

use bareflow_abi::header::SERVICE_INVOKE;
use bareflow_abi::interface::{ArgumentKind, Frame, MAX_WORDS, PIECE_ALIGNMENT, Reply, Shape};
use bareflow_loader::Fault;
use bareflow_loader::diagnosis::ServiceCall;

use crate::services::{ServedCall, bad_argument, check_declared};

/// Serves a module that called `invoke` for the method `target`, with the words of the frame at `address`.
///
/// The words are copied once, then checked, then used: each piece is the module's own, and none that is written overlaps
/// another one.
///
/// # Errors
/// As for [`serve`](crate::services::serve).
pub fn serve_invoke(caller: &impl ServedCall, target: u64, address: u64) -> Result<Reply, Fault> {
    check_declared(caller, SERVICE_INVOKE, [target, address])?;
    let (import, method) = ((target >> 32) as u32, target as u32);
    let shape = match caller.shape(import, method) {
        Ok(shape) => shape,
        Err(error) => return Ok(error.into()),
    };
    let mut words = [const { MaybeUninit::uninit() }; MAX_WORDS];
    let count = shape.words();
    let bytes = 8 * count as u64;
    let own = if count == 0 { 0 } else { caller.writable(address, bytes).ok_or(bad_argument(address))? };
    let words = words.get_mut(..count).unwrap_or_default();
    for (index, word) in words.iter_mut().enumerate() {
        let word_at = with_exposed_provenance::<u64>(own as usize).wrapping_add(index);
        // SAFETY: `writable` just found that the words are mapped and the module's, which waits.
        word.write(unsafe { word_at.read_unaligned() });
    }
    // SAFETY: all of them were just written.
    let words = unsafe { &mut *(core::ptr::from_mut(words) as *mut [u64]) };
    if shape.has_pieces()
        && let Err(fault) = find_pieces(caller, shape, words)
    {
        caller.log_service(ServiceCall { service: SERVICE_INVOKE, arguments: [target, address] });
        return Err(fault);
    }
    // SAFETY: `find_pieces` has replaced each address by that of bytes which are mapped, the module's, and writable if
    // the method writes them, and has found that those overlap no others; the module waits, and `ServedCall` promises
    // that `invoke` accesses nothing else of its memory.
    let Some(mut frame) = (unsafe { Frame::new(shape, words) }) else { return Err(bad_argument(address)) };
    let reply = caller.invoke(import, method, &mut frame);
    if !shape.has_outs() {
        return Ok(reply);
    }
    let (mut appended, mut end) = (frame.appended(), 0);
    for kind in shape.kinds() {
        end += kind.words();
        if kind == ArgumentKind::Out
            && let Some(bytes) = appended.next()
        {
            let length = with_exposed_provenance_mut::<u64>(own as usize).wrapping_add(end - 1);
            // SAFETY: as for the reading; the module still waits.
            unsafe { length.write_unaligned(bytes) };
        }
    }
    Ok(reply)
}

/// Replaces each address among the words, which are as the module sees them, by the kernel's.
#[inline(never)]
fn find_pieces(caller: &impl ServedCall, shape: Shape, words: &mut [u64]) -> Result<(), Fault> {
    let mut ranges: [(u64, u64, bool); MAX_WORDS / 2] = [(0, 0, false); MAX_WORDS / 2];
    let (mut rest, mut found) = (words, 0);
    for kind in shape.kinds() {
        let Some((words, behind)) = core::mem::take(&mut rest).split_at_mut_checked(kind.words()) else { break };
        rest = behind;
        let [address, length] = words else { continue };
        if *length == 0 {
            // The address of nothing is meaningless, but not null, and aligned for all types.
            *address = PIECE_ALIGNMENT as u64;
            continue;
        }
        let is_written = matches!(kind, ArgumentKind::SliceMut | ArgumentKind::Out);
        let own = if is_written { caller.writable(*address, *length) } else { caller.readable(*address, *length) };
        let own = own.ok_or(bad_argument(*address))?;
        let earlier = ranges.get(..found).unwrap_or_default();
        if earlier.iter().any(|&(start, size, written)| {
            (written || is_written) && own < start.saturating_add(size) && start < own.saturating_add(*length)
        }) {
            return Err(bad_argument(*address));
        }
        if let Some(range) = ranges.get_mut(found) {
            *range = (own, *length, is_written);
            found += 1;
        }
        *address = own;
    }
    Ok(())
}
