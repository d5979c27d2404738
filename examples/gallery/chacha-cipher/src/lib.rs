//! Provides the interface `cipher`: ChaCha20-Poly1305 of RFC 8439, by the crate `chacha20poly1305`.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_cipher::{Cipher, CipherError, KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Tag};

bareflow_abi::module!(exports = [Cipher], provider = Server);

impl Cipher for Server<'_> {
    fn seal(
        &self,
        key: &[u8; KEY_BYTES],
        nonce: &[u8; NONCE_BYTES],
        associated: &[u8],
        message: &mut [u8],
        tag: &mut [u8; TAG_BYTES],
    ) -> Result<(), CipherError> {
        let sealed =
            ChaCha20Poly1305::new(&(*key).into()).encrypt_inout_detached(&(*nonce).into(), associated, message.into());
        *tag = sealed.map_err(|_| CipherError::TooLong)?.into();
        Ok(())
    }

    fn open(
        &self,
        key: &[u8; KEY_BYTES],
        nonce: &[u8; NONCE_BYTES],
        associated: &[u8],
        sealed: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), CipherError> {
        let (cipher, tag) = (ChaCha20Poly1305::new(&(*key).into()), Tag::from(*tag));
        let opened = cipher.decrypt_inout_detached(&(*nonce).into(), associated, sealed.into(), &tag);
        opened.map_err(|_| CipherError::Forged)
    }
}
