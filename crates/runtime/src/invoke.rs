//! The service `invoke`: the checks of a frame that a module passes.

use core::mem::MaybeUninit;
use core::ptr::with_exposed_provenance_mut;

use bareflow_abi::header::SERVICE_INVOKE;
use bareflow_abi::interface::{ArgumentKind, Frame, MAX_WORDS, PIECE_ALIGNMENT, Reply, Shape};
use bareflow_loader::Fault;
use bareflow_loader::diagnosis::ServiceCall;

use crate::services::{ServedCall, bad_argument, check_declared};

/// Serves a module that called `invoke` for the method `target`, with the words of the frame at `address`.
///
/// Each word is copied once, then checked, then used: each piece is the module's own, and none that is written overlaps
/// another one.
///
/// # Errors
/// As for [`serve`](crate::services::serve).
#[expect(clippy::inline_always, reason = "a platform has one or two entries of the service, which pass registers on")]
#[inline(always)]
pub fn serve_invoke(caller: &impl ServedCall, target: u64, address: u64) -> Result<Reply, Fault> {
    check_declared(caller, SERVICE_INVOKE, [target, address])?;
    let (import, method) = ((target >> 32) as u32, target as u32);
    let shape = match caller.shape(import, method) {
        Ok(shape) => shape,
        Err(error) => return Ok(error.into()),
    };
    let mut words = [const { MaybeUninit::uninit() }; MAX_WORDS];
    let words = &mut words[..shape.words().min(MAX_WORDS)];
    let own = match words {
        [] => 0,
        _ => caller.writable(address, size_of_val(words) as u64).ok_or(bad_argument(address))?,
    };
    let source = word_of(own, 0);
    let words = if shape.has_pieces() {
        // SAFETY: `writable` just found that the words are mapped and the module's, which waits.
        match unsafe { take_words(caller, shape, source, words) } {
            Ok(words) => words,
            Err(piece) => {
                caller.log_service(ServiceCall { service: SERVICE_INVOKE, arguments: [target, address] });
                return Err(bad_argument(piece));
            }
        }
    } else {
        // SAFETY: as above.
        unsafe { copy_words(source, words) }
    };
    // SAFETY: `take_words` has replaced each address by that of bytes which are mapped, the module's, and writable if
    // the method writes them, and has found that those overlap no others; the module waits, and `ServedCall` promises
    // that `invoke` accesses nothing else of its memory.
    let Some(mut frame) = (unsafe { Frame::new(shape, words) }) else { return Err(bad_argument(address)) };
    let reply = caller.invoke(import, method, &mut frame);
    if shape.has_outs() {
        tell_lengths(&frame, own);
    }
    Ok(reply)
}

/// Copies as many words as there is room for. A loop over single words would be unrolled by eight, with more code before
/// and behind it than two or three words are worth.
///
/// # Safety
/// So many words are mapped from `source` on.
#[expect(clippy::inline_always, reason = "a call copies two or three words")]
#[inline(always)]
unsafe fn copy_words(source: *const u64, target: &mut [MaybeUninit<u64>]) -> &mut [u64] {
    let mut at = 0;
    let mut copy = |word: &mut MaybeUninit<u64>| {
        // SAFETY: as the caller promises; `at` stays below the number of words.
        word.write(unsafe { source.add(at).read_unaligned() });
        at += 1;
    };
    let (fours, rest) = target.as_chunks_mut::<4>();
    for four in fours {
        let [a, b, c, d] = four;
        copy(a);
        copy(b);
        copy(c);
        copy(d);
    }
    match rest {
        [] => {}
        [a] => copy(a),
        [a, b] => {
            copy(a);
            copy(b);
        }
        rest => rest.iter_mut().for_each(copy),
    }
    // SAFETY: all of them were just written.
    unsafe { &mut *(core::ptr::from_mut(target) as *mut [u64]) }
}

/// Copies the words of a frame of this shape, and replaces each address among them, which is as the module sees it, by the
/// kernel's. Returns the words that were copied.
///
/// # Errors
/// The address of bytes that are not the module's, may not be written, or are written and overlap others.
///
/// # Safety
/// As many words are mapped from `source` on as there is room for.
#[expect(clippy::inline_always, reason = "a platform has one or two entries of the service, which pass registers on")]
#[inline(always)]
unsafe fn take_words<'words>(
    caller: &impl ServedCall,
    shape: Shape,
    source: *const u64,
    target: &'words mut [MaybeUninit<u64>],
) -> Result<&'words mut [u64], u64> {
    // SAFETY: as the caller promises; of a word that there is room for.
    let word = |index: usize| unsafe { source.add(index).read_unaligned() };
    let (mut slots, mut count, mut is_written) = (target.iter_mut(), 0, false);
    // The range that all pieces so far lie in. As long as each lies outside of that of those before, none overlap.
    let (mut start, mut end, mut is_doubtful) = (u64::MAX, 0, false);
    for kind in shape.kinds() {
        let Some(first) = slots.next() else { break };
        if kind == ArgumentKind::Scalar {
            first.write(word(count));
            count += 1;
            continue;
        }
        let Some(second) = slots.next() else { break };
        let (given, length) = (word(count), *second.write(word(count + 1)));
        count += 2;
        if length == 0 {
            // The address of nothing is meaningless, but not null, and aligned for all types.
            first.write(PIECE_ALIGNMENT as u64);
            continue;
        }
        let own = if kind.is_written() {
            is_written = true;
            caller.writable(given, length)
        } else {
            caller.readable(given, length)
        };
        let own = *first.write(own.ok_or(given)?);
        let behind = own.saturating_add(length);
        is_doubtful |= own < end && start < behind;
        (start, end) = (start.min(own), end.max(behind));
    }
    // SAFETY: the loop has written so many of them.
    let words = unsafe { core::slice::from_raw_parts_mut(target.as_mut_ptr().cast(), count) };
    if is_written
        && is_doubtful
        && let Err(index) = find_overlaps(shape, words)
    {
        return Err(word(index));
    }
    Ok(words)
}

/// Checks that no piece that is written overlaps another one.
///
/// # Errors
/// The index of the address of one that does.
#[cold]
#[inline(never)]
fn find_overlaps(shape: Shape, words: &[u64]) -> Result<(), usize> {
    let mut index = 0;
    let mut pieces = shape.kinds().filter_map(move |kind| {
        let start = index;
        index += kind.words();
        match words.get(start..index) {
            Some(&[address, length]) => Some((start, kind.is_written(), address, length)),
            _ => None,
        }
    });
    while let Some((_, is_written, start, length)) = pieces.next() {
        let overlaps = |&(_, other_is_written, other, size): &(usize, bool, u64, u64)| {
            (is_written || other_is_written)
                && start < other.saturating_add(size)
                && other < start.saturating_add(length)
        };
        if let Some((index, ..)) = pieces.clone().find(overlaps) {
            return Err(index);
        }
    }
    Ok(())
}

/// Returns the address of a word of the module's frame, which lies at `own`.
#[inline]
fn word_of(own: u64, index: usize) -> *mut u64 {
    with_exposed_provenance_mut::<u64>(own as usize).wrapping_add(index)
}

/// Tells the module how much was appended: in its frame, whose address is `own`.
#[inline]
fn tell_lengths(frame: &Frame<'_>, own: u64) {
    for (index, bytes) in frame.appended_words() {
        // SAFETY: `serve_invoke` has found that the words are mapped, writable and the module's, which waits.
        unsafe { word_of(own, index).write_unaligned(bytes) };
    }
}
