//! The interface `cipher`: authenticated encryption with associated data (AEAD), by keys of 256 bits.
//!
//! The provider decides which algorithm that is. Two modules of the gallery provide it: `chacha-cipher`, and `aes-cipher`.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{CallError, Failure, interface};

/// The size of a key, in bytes.
pub const KEY_BYTES: usize = 32;

/// The size of a nonce, in bytes.
pub const NONCE_BYTES: usize = 12;

/// The size of a tag, in bytes.
pub const TAG_BYTES: usize = 16;

/// Authenticated encryption.
#[interface(version = "1.0")]
pub trait Cipher {
    /// Encrypts `message` in place, and sets the tag that authenticates it together with `associated`.
    ///
    /// No two messages may be sealed with the same key and nonce.
    fn seal(
        &self,
        key: &[u8; KEY_BYTES],
        nonce: &[u8; NONCE_BYTES],
        associated: &[u8],
        message: &mut [u8],
        tag: &mut [u8; TAG_BYTES],
    ) -> Result<(), CipherError>;

    /// Decrypts what [`seal`](Cipher::seal) made of a message, in place. After an error the bytes are unspecified.
    fn open(
        &self,
        key: &[u8; KEY_BYTES],
        nonce: &[u8; NONCE_BYTES],
        associated: &[u8],
        sealed: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), CipherError>;
}

/// An error of a cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
pub enum CipherError {
    /// The message, the associated data or the tag is not what was sealed with this key and nonce.
    Forged,
    /// The message or the associated data is longer than the algorithm allows.
    TooLong,
    /// The call gave no answer.
    #[call_error]
    Call(CallError),
}
