//! Encrypts and decrypts messages: ChaCha20-Poly1305 of RFC 8439.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

use bareflow_abi::Context;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Error, Key, Nonce};

bareflow_abi::module!(run);

/// Encrypts or decrypts a message.
///
/// The input is `s` to seal or `o` to open, a key (32 bytes), a nonce (12), the length of the associated data (1), the
/// data, and the message. Writes the other form; returns -2 for a forgery, and -1 for an input that is too short.
pub fn run(context: &mut Context<'_>) -> i32 {
    match transform(context.input()) {
        Some(Ok(message)) => {
            context.write(&message);
            0
        }
        Some(Err(_)) => -2,
        None => -1,
    }
}

fn transform(input: &[u8]) -> Option<Result<Vec<u8>, Error>> {
    let (way, rest) = input.split_first()?;
    let (key, rest) = rest.split_first_chunk::<32>()?;
    let (nonce, rest) = rest.split_first_chunk::<12>()?;
    let (length, rest) = rest.split_first()?;
    let (aad, msg) = rest.split_at_checked(usize::from(*length))?;
    let cipher = ChaCha20Poly1305::new(&Key::from(*key));
    let (nonce, payload) = (Nonce::from(*nonce), Payload { msg, aad });
    Some(if *way == b's' { cipher.encrypt(&nonce, payload) } else { cipher.decrypt(&nonce, payload) })
}
