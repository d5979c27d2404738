//! The parts of an engine that outlast a call of its interface: the last blob, and the reason for the last error.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bareflow_abi::Out;
use bareflow_engine::EngineError;

use crate::refusal::Refusal;

/// The blob and the reason that an engine keeps between calls.
#[derive(Debug, Default)]
pub struct Kept {
    blob: Vec<u8>,
    reason: String,
}

impl Kept {
    /// Creates an engine's state before its first call.
    #[must_use]
    pub const fn new() -> Kept {
        Kept { blob: Vec::new(), reason: String::new() }
    }

    /// Keeps a blob, and returns its size in bytes.
    pub fn keep(&mut self, blob: Vec<u8>) -> u64 {
        self.blob = blob;
        self.blob.len() as u64
    }

    /// Frees the blob.
    pub fn forget(&mut self) {
        self.blob = Vec::new();
    }

    /// Keeps the reason for an error, and returns the error.
    pub fn refuse(&mut self, refusal: Refusal) -> EngineError {
        self.reason = refusal.text;
        refusal.error
    }

    /// Appends the blob's bytes from `offset` on to `into`, as many as there are and there is room for.
    ///
    /// # Errors
    /// There is no blob, or it has fewer bytes.
    pub fn read(&mut self, offset: u64, into: &mut Out<'_, u8>) -> Result<(), EngineError> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.blob.get(offset..));
        let Some(rest) = rest.filter(|_| !self.blob.is_empty()) else {
            let text = format!("the kept blob has {} bytes, expected at least {offset}", self.blob.len());
            return Err(self.refuse(Refusal { error: EngineError::NoBlob, text }));
        };
        into.extend_from_slice(rest);
        Ok(())
    }

    /// Appends the reason for the last error to `into`.
    pub fn explain(&self, into: &mut Out<'_, u8>) {
        into.extend_from_slice(self.reason.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn hands_a_blob_over_in_pieces_until_it_is_forgotten() {
        let mut kept = Kept::new();
        assert_eq!(kept.keep(b"blob".to_vec()), 4);
        for (offset, expected) in [(0, &b"bl"[..]), (2, b"ob"), (3, b"b"), (4, b"")] {
            let mut room = [0; 2];
            let mut into = Out::new(&mut room);
            assert_eq!(kept.read(offset, &mut into), Ok(()));
            assert_eq!(into.written(), expected);
        }
        assert_eq!(kept.read(5, &mut Out::new(&mut [0; 2])), Err(EngineError::NoBlob));
        kept.forget();
        assert_eq!(kept.read(0, &mut Out::new(&mut [0; 2])), Err(EngineError::NoBlob));
        let mut room = [0; 80];
        let mut into = Out::new(&mut room);
        kept.explain(&mut into);
        assert_eq!(into.written(), b"the kept blob has 0 bytes, expected at least 0");
        assert_eq!(kept.refuse(Refusal::invalid("why")), EngineError::Invalid);
    }
}
