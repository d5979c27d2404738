//! An engine that compiles nothing: behind WebAssembly's mark, its input says what it does.
//!
//! `b` makes it return the blob that follows, `r` refuse the module, `p` panic, `l` not return, and `h` use up its heap.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;
use core::hint::black_box;

use bareflow_abi::Out;
use bareflow_engine::{Description, Engine, EngineError, Options, QUICK, WASM_MARK};

bareflow_abi::state! {
    /// What is kept between calls.
    pub struct Kept {
        /// The length of the blob.
        pub length: u64 = 0,
        /// The blob.
        pub blob: [u8; 4096] = [0; 4096],
    }
}

bareflow_abi::module!(state = Kept, exports = [Engine]);

/// The reason for every refusal.
const REASON: &[u8] = b"import env.print, expected imports from bareflow; leave it out";

impl Engine for Kept {
    fn describe(&self, into: &mut Description) -> Result<(), EngineError> {
        *into = Description { optimizations: 1 << QUICK, bounds: 0 };
        Ok(())
    }

    fn validate(&mut self, wasm: &[u8]) -> Result<(), EngineError> {
        if wasm.starts_with(&WASM_MARK) { Ok(()) } else { Err(EngineError::Invalid) }
    }

    fn compile(&mut self, _: &Options, _: &str, wasm: &[u8]) -> Result<u64, EngineError> {
        self.length = 0;
        match wasm.get(WASM_MARK.len()..).and_then(<[u8]>::split_first) {
            Some((b'b', blob)) => {
                let kept = self.blob.get_mut(..blob.len()).ok_or(EngineError::TooLarge)?;
                kept.copy_from_slice(blob);
                self.length = blob.len() as u64;
                Ok(self.length)
            }
            Some((b'p', _)) => panic!("the input says so"),
            Some((b'l', _)) => loop {
                black_box(());
            },
            Some((b'h', _)) => Ok(black_box(Vec::<u8>::with_capacity(1 << 20)).capacity() as u64),
            Some((b'r', _)) => Err(EngineError::Unsupported),
            _ => Err(EngineError::Invalid),
        }
    }

    fn read(&self, offset: u64, into: &mut Out<'_, u8>) -> Result<(), EngineError> {
        let blob = self.blob.get(offset as usize..self.length as usize).ok_or(EngineError::NoBlob)?;
        into.extend_from_slice(blob);
        Ok(())
    }

    fn forget(&mut self) -> Result<(), EngineError> {
        self.length = 0;
        Ok(())
    }

    fn explain(&self, into: &mut Out<'_, u8>) -> Result<(), EngineError> {
        into.extend_from_slice(REASON);
        Ok(())
    }
}
