//! Uploads: the blobs that clients are sending.

use alloc::vec::Vec;

use bareflow_abi::checksum::crc32c;
use bareflow_protocol::control::{MAX_BLOB, MAX_CHUNK};
use bareflow_suite::error_text;
use bareflow_suite::fallible::{ErrorText, push};

use crate::room;

/// The maximum number of clients with an upload.
const MAX_UPLOADS: usize = 64;

/// The maximum total size of all uploads, as announced, in bytes.
const MAX_ANNOUNCED: usize = 2 * MAX_BLOB as usize;

/// The time after which an upload is given up if no more bytes arrive, in milliseconds.
const UPLOAD_TIMEOUT_MS: u64 = 10_000;

/// The time that a complete upload may wait for its load, in milliseconds.
///
/// The load waits its turn after whatever runs, so this is longer than any call may take.
const PENDING_TIMEOUT_MS: u64 = 400_000;

/// All uploads.
#[derive(Debug, Default)]
pub(crate) struct Uploads(Vec<Upload>);

/// The upload of one client.
#[derive(Debug)]
struct Upload {
    client: u32,
    length: usize,
    checksum: u32,
    bytes: Vec<u8>,
    /// The time at which its last part arrived.
    came_ms: u64,
}

impl Uploads {
    /// Begins an upload. Discards an earlier one of the same client.
    pub fn begin(&mut self, client: u32, length: u32, checksum: u32, now_ms: u64) -> Result<(), ErrorText> {
        self.forget(client);
        self.expire(now_ms);
        if length > MAX_BLOB {
            return Err(error_text!("a blob of {length} bytes, expected at most {MAX_BLOB}; make the module smaller"));
        }
        if self.0.len() >= MAX_UPLOADS {
            return Err(error_text!("{MAX_UPLOADS} clients are sending blobs already; try again later"));
        }
        let length = length as usize;
        let announced: usize = self.0.iter().map(|upload| upload.length).sum();
        if announced + length > MAX_ANNOUNCED {
            return Err(error_text!(
                "a blob of {length} bytes beside {announced} on their way, expected at most {MAX_ANNOUNCED} in all; \
                 try again later"
            ));
        }
        let no_memory =
            || error_text!("no memory for a blob of {length} bytes; unload a module or give the system more memory");
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(length).is_err() || room().is_err() {
            return Err(no_memory());
        }
        Ok(push(&mut self.0, Upload { client, length, checksum, bytes, came_ms: now_ms })?)
    }

    /// Discards uploads that have timed out.
    pub fn expire(&mut self, now_ms: u64) {
        self.0.retain(|upload| {
            let timeout_ms = if upload.bytes.len() < upload.length { UPLOAD_TIMEOUT_MS } else { PENDING_TIMEOUT_MS };
            now_ms.saturating_sub(upload.came_ms) < timeout_ms
        });
    }

    /// Adds a part. Returns the number of bytes received without a gap.
    pub fn add(&mut self, client: u32, offset: u32, bytes: &[u8], now_ms: u64) -> Result<u32, ErrorText> {
        if bytes.len() > MAX_CHUNK {
            return Err(error_text!(
                "{} bytes at once, expected at most {MAX_CHUNK}; send smaller pieces",
                bytes.len()
            ));
        }
        let mut uploads = self.0.iter_mut();
        let upload = uploads
            .find(|upload| upload.client == client)
            .ok_or("bytes of a blob that was not announced, or was given up; send its length first")?;
        upload.came_ms = now_ms;
        let (there, offset) = (upload.bytes.len(), offset as usize);
        // A client sends a part again if its answer was lost.
        let known = there.checked_sub(offset).ok_or_else(|| {
            error_text!("bytes from {offset} on, expected those from {there} on; send the missing ones first")
        })?;
        let new = bytes.get(known..).unwrap_or_default();
        if there + new.len() > upload.length {
            let length = upload.length;
            return Err(error_text!("{} bytes of a blob of {length}; send it anew", there + new.len()));
        }
        upload.bytes.extend_from_slice(new);
        // The length is at most that of a blob.
        Ok(upload.bytes.len() as u32)
    }

    /// Takes the blob if it is complete. The upload ends even if it is not.
    pub fn take(&mut self, client: u32) -> Result<Vec<u8>, ErrorText> {
        let index = self.0.iter().position(|upload| upload.client == client);
        let index = index.ok_or("no blob was sent, or it was given up; send one before asking for its load")?;
        let Upload { length, checksum, bytes, .. } = self.0.swap_remove(index);
        if bytes.len() < length {
            return Err(error_text!("{} of {length} bytes of the blob came; send it again", bytes.len()));
        }
        let found = crc32c(&[&bytes]);
        if found != checksum {
            return Err(error_text!(
                "checksum mismatch on the way: sent {checksum:#010x}, computed {found:#010x}; send it again"
            ));
        }
        Ok(bytes)
    }

    /// Discards a client's upload.
    pub fn forget(&mut self, client: u32) {
        self.0.retain(|upload| upload.client != client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Uploads {
        let mut uploads = Uploads::default();
        uploads.begin(1, 6, crc32c(&[b"blob!!"]), 0).unwrap();
        uploads
    }

    #[test]
    fn joins_parts_and_parts_that_come_twice() {
        let mut uploads = sent();
        assert_eq!((uploads.add(1, 0, b"blo", 0), uploads.add(1, 0, b"blo", 0)), (Ok(3), Ok(3)));
        assert_eq!(uploads.add(1, 2, b"ob!!", 0), Ok(6));
        assert_eq!(uploads.take(1), Ok(b"blob!!".to_vec()));
        assert!(uploads.take(1).is_err());
    }

    #[test]
    fn rejects_a_gap() {
        assert!(sent().add(1, 1, b"l", 0).unwrap_err().contains("expected those from 0 on"));
    }

    #[test]
    fn rejects_too_much() {
        assert!(sent().add(1, 0, b"blob!!!", 0).unwrap_err().contains("7 bytes of a blob of 6"));
        assert!(sent().begin(2, MAX_BLOB + 1, 0, 0).unwrap_err().contains("expected at most"));
    }

    #[test]
    fn rejects_a_piece_that_is_too_long() {
        assert!(sent().add(1, 0, &[0; MAX_CHUNK + 1], 0).unwrap_err().contains("expected at most 32768"));
    }

    #[test]
    fn rejects_bytes_nobody_announced() {
        assert!(sent().add(2, 0, b"b", 0).unwrap_err().contains("not announced"));
    }

    #[test]
    fn rejects_a_blob_that_is_cut_off() {
        let mut uploads = sent();
        uploads.add(1, 0, b"blo", 0).unwrap();
        assert!(uploads.take(1).unwrap_err().contains("3 of 6 bytes"));
    }

    #[test]
    fn rejects_other_bytes_than_were_sent() {
        let mut uploads = sent();
        uploads.add(1, 0, b"blob!?", 0).unwrap();
        assert!(uploads.take(1).unwrap_err().contains("checksum mismatch"));
    }

    #[test]
    fn rejects_too_many_at_once() {
        let mut uploads = Uploads::default();
        assert!((0..64).all(|client| uploads.begin(client, 1, 0, 0).is_ok()));
        assert!(uploads.begin(64, 1, 0, 0).unwrap_err().contains("64 clients"));
        uploads.forget(3);
        assert!(uploads.begin(64, 1, 0, 0).is_ok());
    }

    #[test]
    fn rejects_more_bytes_in_all_than_there_shall_be() {
        let mut uploads = Uploads::default();
        assert!((0..2).all(|client| uploads.begin(client, MAX_BLOB, 0, 0).is_ok()));
        assert!(uploads.begin(2, 1, 0, 0).unwrap_err().contains("expected at most 33554432 in all"));
        uploads.forget(1);
        assert!(uploads.begin(2, 1, 0, 0).is_ok());
    }

    #[test]
    fn gives_up_what_was_only_announced() {
        let mut uploads = Uploads::default();
        uploads.begin(1, 6, crc32c(&[b"blob!!"]), 0).unwrap();
        uploads.begin(2, 6, 0, 0).unwrap();
        assert_eq!(uploads.add(1, 0, b"blo", UPLOAD_TIMEOUT_MS - 1), Ok(3));
        uploads.expire(UPLOAD_TIMEOUT_MS);
        assert!(uploads.add(2, 0, b"b", UPLOAD_TIMEOUT_MS).unwrap_err().contains("given up"));
        assert_eq!(uploads.add(1, 3, b"b!!", UPLOAD_TIMEOUT_MS), Ok(6));
        // A complete upload waits for its load, but not forever.
        uploads.expire(2 * UPLOAD_TIMEOUT_MS);
        assert_eq!(uploads.0.len(), 1);
        uploads.expire(UPLOAD_TIMEOUT_MS + PENDING_TIMEOUT_MS);
        assert!(uploads.take(1).unwrap_err().contains("given up"));
    }
}
