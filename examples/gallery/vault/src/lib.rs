//! Locks and unlocks messages by its import `cipher`, and does not know which algorithm that is.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{Context, Out};
use bareflow_cipher::{Cipher, CipherError, KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use bareflow_random::Random;

/// The longest message, in bytes.
const LONGEST: usize = 16 << 10;

/// The data that each message is sealed with: only a vault's messages are opened.
const LABEL: &[u8] = b"vault 1";

/// The negative results: the input is too short or too long or the output has no room, the message is forged, and a provider
/// gave no answer.
const INPUT: i32 = -1;
const FORGED: i32 = -2;
const NO_ANSWER: i32 = -3;

bareflow_abi::module!(imports = { cipher: Cipher, random: Random }, exports = [lock, unlock]);

/// Locks a message. The input is a key of 32 bytes, and the message; writes a new nonce, the tag, and the sealed message.
/// Returns the number of bytes.
pub fn lock(context: &mut Context<'_>, with: Imports<'_>) -> i32 {
    let Some((key, message)) = context.input().split_first_chunk::<KEY_BYTES>() else { return INPUT };
    let mut room = [0; LONGEST];
    let Some(message) = copied(message, &mut room) else { return INPUT };
    let (mut nonce, mut tag) = ([0; NONCE_BYTES], [0; TAG_BYTES]);
    if with.random.fill(&mut Out::new(&mut nonce)).is_err() {
        return NO_ANSWER;
    }
    let length = NONCE_BYTES + TAG_BYTES + message.len();
    match with.cipher.seal(key, &nonce, LABEL, message, &mut tag) {
        // What does not fit is cut off, and nothing unlocks what is left.
        Ok(()) if context.write(&nonce) + context.write(&tag) + context.write(message) < length => INPUT,
        Ok(()) => length as i32,
        Err(CipherError::TooLong) => INPUT,
        Err(_) => NO_ANSWER,
    }
}

/// Unlocks what `lock` wrote, behind the key. Writes the message, and returns the number of its bytes.
pub fn unlock(context: &mut Context<'_>, with: Imports<'_>) -> i32 {
    let Some((key, rest)) = context.input().split_first_chunk::<KEY_BYTES>() else { return INPUT };
    let Some((nonce, rest)) = rest.split_first_chunk::<NONCE_BYTES>() else { return INPUT };
    let Some((tag, sealed)) = rest.split_first_chunk::<TAG_BYTES>() else { return INPUT };
    let mut room = [0; LONGEST];
    let Some(message) = copied(sealed, &mut room) else { return INPUT };
    match with.cipher.open(key, nonce, LABEL, message, tag) {
        Ok(()) => context.write(message) as i32,
        Err(CipherError::Forged) => FORGED,
        Err(CipherError::TooLong) => INPUT,
        Err(CipherError::Call(_)) => NO_ANSWER,
    }
}

/// Copies `message` into `room`, if it fits.
fn copied<'room>(message: &[u8], room: &'room mut [u8]) -> Option<&'room mut [u8]> {
    let room = room.get_mut(..message.len())?;
    room.copy_from_slice(message);
    Some(room)
}
