//! Signs messages and verifies the signatures: Ed25519 of RFC 8032.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use ed25519_compact::{KeyPair, Seed};

bareflow_abi::module!(run);

/// Signs a message.
///
/// The input is a secret key (32 bytes) and the message. Writes the public key (32 bytes) and the signature (64).
/// Returns 1 if the signature is valid for this message only, 0 if not, and -1 for an input that is too short.
pub fn run(context: &mut Context<'_>) -> i32 {
    let Some((seed, message)) = context.input().split_first_chunk::<32>() else { return -1 };
    let keys = KeyPair::from_seed(Seed::new(*seed));
    let signature = keys.sk.sign(message, None);
    let holds = keys.pk.verify(message, &signature).is_ok() && keys.pk.verify(b"another", &signature).is_err();
    context.write(keys.pk.as_slice());
    context.write(&signature[..]);
    i32::from(holds)
}
