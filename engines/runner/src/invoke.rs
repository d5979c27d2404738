//! The function by which a program calls the methods of its imports.
//!
//! The words of a frame in linear memory have offsets where those of a native caller have addresses. The embedder gets a
//! copy with addresses; the lengths of what the method appended are copied back.

use bareflow_abi::interface::bindings::{Entries, Method};
use bareflow_abi::interface::{ArgumentKind, CallError, MAX_WORDS, Reply};
use wasmi::{Caller, Error};

use crate::host::{Host, part, split};

/// The size of a word, in bytes.
const WORD: u32 = 8;

/// Calls a method: the numbers of import and method, the address of the words, and that of the reply's value.
pub fn invoke(mut caller: Caller<'_, Host>, import_and_method: u64, words: u32, reply: u32) -> Result<u32, Error> {
    let (memory, host) = split(&mut caller);
    part(memory, reply, WORD)?;
    let Some(method) = method(host.bindings, import_and_method) else {
        return Ok(Reply::from(CallError::NoSuchMethod).status as u32);
    };
    let mut frame = [0; MAX_WORDS];
    let frame = &mut frame[..method.shape.words()];
    let given = part(memory, words, WORD * frame.len() as u32)?;
    for (word, bytes) in frame.iter_mut().zip(given.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let mut rest = &mut *frame;
    for kind in method.shape.kinds() {
        let (of_this, behind) = rest.split_at_mut(kind.words());
        rest = behind;
        if let [address, length] = of_this {
            let (Ok(start), Ok(bytes)) = (u32::try_from(*address), u32::try_from(*length)) else {
                return Ok(Reply::from(CallError::BadArgument).status as u32);
            };
            *address = part(memory, start, bytes)?.as_mut_ptr().expose_provenance() as u64;
        }
    }
    // SAFETY: there are as many words as the shape has, and all memory that they lead to lies in the linear memory, as was
    // just checked; the service checks that what is written overlaps nothing else, and nobody else uses it meanwhile.
    let answer = host.context().map(|context| unsafe { context.invoke(import_and_method, frame) });
    let answer = answer.unwrap_or(CallError::NotBound.into());
    let mut at = words;
    let mut rest = &*frame;
    for kind in method.shape.kinds() {
        let (of_this, behind) = rest.split_at(kind.words());
        if let (ArgumentKind::Out, [_, appended]) = (kind, of_this) {
            part(memory, at + WORD, WORD)?.copy_from_slice(&appended.to_le_bytes());
        }
        at += WORD * kind.words() as u32;
        rest = behind;
    }
    part(memory, reply, WORD)?.copy_from_slice(&answer.value.to_le_bytes());
    Ok(answer.status as u32)
}

/// Returns the method with these numbers, as the program's bindings describe it.
fn method(bindings: &[u8], import_and_method: u64) -> Option<Method> {
    let import = Entries::new(bindings).imports().nth((import_and_method >> 32) as usize)?;
    import.method(import_and_method as u32 as usize)
}
