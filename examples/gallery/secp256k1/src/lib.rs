//! Signs a message and verifies the signature: Schnorr signatures on the curve secp256k1 (BIP 340), by a C library.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use secp256k1::ffi::types::AlignedType;
use secp256k1::{Keypair, Secp256k1};

bareflow_abi::module!(run);

/// The room for the library's context, which it would otherwise allocate.
const ROOM: usize = 64;

/// Signs a message.
///
/// The input is a secret key, 32 random bytes, and a message. Writes the public key and the signature, and returns 1 if
/// it is valid for this message and not for another one; -1 if the input is invalid.
pub fn run(context: &mut Context<'_>) -> i32 {
    sign(context).unwrap_or(-1)
}

fn sign(context: &mut Context<'_>) -> Option<i32> {
    let (secret, rest) = context.input().split_first_chunk::<32>()?;
    let (random, message) = rest.split_first_chunk::<32>()?;
    let mut room = [AlignedType::zeroed(); ROOM];
    let curve = Secp256k1::preallocated_new(&mut room).ok()?;
    let keys = Keypair::from_seckey_byte_array(&curve, *secret).ok()?;
    let (public, _) = keys.x_only_public_key();
    let signature = curve.sign_schnorr_with_aux_rand(message, &keys, random);
    context.write(&public.serialize());
    context.write(signature.as_byte_array());
    let right = curve.verify_schnorr(&signature, message, &public).is_ok();
    let forged = curve.verify_schnorr(&signature, secret, &public).is_ok();
    Some(i32::from(right && !forged))
}
