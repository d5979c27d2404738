//! Blobs on their way: what each client has sent so far.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bareflow_abi::checksum::crc32c;
use bareflow_protocol::control::MAX_BLOB;

use crate::has_room;

/// Clients that may have a blob on its way at once.
const MAX_UPLOADS: usize = 64;

/// All blobs on their way, by client.
#[derive(Debug, Default)]
pub(crate) struct Uploads(BTreeMap<u32, Upload>);

/// One blob on its way.
#[derive(Debug)]
struct Upload {
    length: usize,
    checksum: u32,
    bytes: Vec<u8>,
}

impl Uploads {
    /// Begins an upload; what the client had sent before is forgotten.
    pub fn begin(&mut self, client: u32, length: u32, checksum: u32) -> Result<(), String> {
        self.0.remove(&client);
        if length > MAX_BLOB {
            return Err(format!("a blob of {length} bytes, expected at most {MAX_BLOB}; make the module smaller"));
        }
        if self.0.len() >= MAX_UPLOADS {
            return Err(format!("{MAX_UPLOADS} clients are sending blobs already; try again later"));
        }
        let (length, mut bytes) = (length as usize, Vec::new());
        if bytes.try_reserve_exact(length).is_err() || !has_room() {
            return Err(format!(
                "no memory for a blob of {length} bytes; unload a module or give the system more memory"
            ));
        }
        self.0.insert(client, Upload { length, checksum, bytes });
        Ok(())
    }

    /// Takes a part, and says how many bytes are there without a gap.
    pub fn add(&mut self, client: u32, offset: u32, bytes: &[u8]) -> Result<u32, String> {
        let upload = self.0.get_mut(&client).ok_or("bytes of a blob that was not announced; send its length first")?;
        let (there, offset) = (upload.bytes.len(), offset as usize);
        // What came before comes again when an answer was lost.
        let known = there.checked_sub(offset).ok_or_else(|| {
            format!("bytes from {offset} on, expected those from {there} on; send the missing ones first")
        })?;
        let new = bytes.get(known..).unwrap_or_default();
        if there + new.len() > upload.length {
            let length = upload.length;
            return Err(format!("{} bytes of a blob of {length}; send it anew", there + new.len()));
        }
        upload.bytes.extend_from_slice(new);
        // No longer than a blob can be.
        Ok(upload.bytes.len() as u32)
    }

    /// The blob, when all of it is there. Complete or not, it is no longer on its way.
    pub fn take(&mut self, client: u32) -> Result<Vec<u8>, String> {
        let Upload { length, checksum, bytes } =
            self.0.remove(&client).ok_or("no blob was sent; send one before asking for its load")?;
        if bytes.len() < length {
            return Err(format!("{} of {length} bytes of the blob came; send it again", bytes.len()));
        }
        let found = crc32c(&[&bytes]);
        if found != checksum {
            return Err(format!(
                "checksum mismatch on the way: sent {checksum:#010x}, computed {found:#010x}; send it again"
            ));
        }
        Ok(bytes)
    }

    /// Forgets what a client has sent.
    pub fn forget(&mut self, client: u32) {
        self.0.remove(&client);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Uploads {
        let mut uploads = Uploads::default();
        uploads.begin(1, 6, crc32c(&[b"blob!!"])).unwrap();
        uploads
    }

    #[test]
    fn joins_parts_and_parts_that_come_twice() {
        let mut uploads = sent();
        assert_eq!((uploads.add(1, 0, b"blo"), uploads.add(1, 0, b"blo")), (Ok(3), Ok(3)));
        assert_eq!(uploads.add(1, 2, b"ob!!"), Ok(6));
        assert_eq!(uploads.take(1), Ok(b"blob!!".to_vec()));
        assert!(uploads.take(1).is_err());
    }

    #[test]
    fn rejects_a_gap() {
        assert!(sent().add(1, 1, b"l").unwrap_err().contains("expected those from 0 on"));
    }

    #[test]
    fn rejects_too_much() {
        assert!(sent().add(1, 0, b"blob!!!").unwrap_err().contains("7 bytes of a blob of 6"));
        assert!(sent().begin(2, MAX_BLOB + 1, 0).unwrap_err().contains("expected at most"));
    }

    #[test]
    fn rejects_bytes_nobody_announced() {
        assert!(sent().add(2, 0, b"b").unwrap_err().contains("not announced"));
    }

    #[test]
    fn rejects_a_blob_that_is_cut_off() {
        let mut uploads = sent();
        uploads.add(1, 0, b"blo").unwrap();
        assert!(uploads.take(1).unwrap_err().contains("3 of 6 bytes"));
    }

    #[test]
    fn rejects_other_bytes_than_were_sent() {
        let mut uploads = sent();
        uploads.add(1, 0, b"blob!?").unwrap();
        assert!(uploads.take(1).unwrap_err().contains("checksum mismatch"));
    }

    #[test]
    fn rejects_too_many_at_once() {
        let mut uploads = Uploads::default();
        assert!((0..64).all(|client| uploads.begin(client, 1, 0).is_ok()));
        assert!(uploads.begin(64, 1, 0).unwrap_err().contains("64 clients"));
        uploads.forget(3);
        assert!(uploads.begin(64, 1, 0).is_ok());
    }
}
