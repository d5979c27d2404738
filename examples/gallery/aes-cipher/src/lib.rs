//! Provides the interface `cipher`: AES-256-GCM of NIST SP 800-38D, by the crate `aes-gcm`.

#![no_std]
#![forbid(unsafe_code)]

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Tag};
use bareflow_cipher::{Cipher, CipherError, KEY_BYTES, NONCE_BYTES, TAG_BYTES};

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
            Aes256Gcm::new(&(*key).into()).encrypt_inout_detached(&(*nonce).into(), associated, message.into());
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
        let (cipher, tag) = (Aes256Gcm::new(&(*key).into()), Tag::from(*tag));
        let opened = cipher.decrypt_inout_detached(&(*nonce).into(), associated, sealed.into(), &tag);
        opened.map_err(|_| CipherError::Forged)
    }
}
