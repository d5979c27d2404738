//! An engine that compiles nothing: it does with what it gets whatever the byte after WebAssembly's mark says.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec::Vec;

use bareflow_abi::{CallError, Out};
use bareflow_engine::{Description, Engine, EngineError, Options, SPEED, WASM_MARK};
use spin::Mutex;

bareflow_abi::state! {
    /// The number of compilations.
    pub struct Sham {
        /// Compilations so far.
        pub compiled: u64 = 0,
    }
}

bareflow_abi::module!(state = Sham, exports = [Engine]);

/// The bytes that stand for a blob, and those that it hands over less than it said.
static KEPT: Mutex<(Vec<u8>, u64)> = Mutex::new((Vec::new(), 0));

/// Hands the rest over as the blob.
pub const HONEST: u8 = 0;
/// Hands over a byte less than it says.
pub const SHORT: u8 = 1;
/// Refuses, and says why.
pub const REFUSES: u8 = 2;
/// Panics.
pub const PANICS: u8 = 3;
/// Never returns.
pub const SPINS: u8 = 4;
/// Says that the blob has any number of bytes.
pub const BOASTS: u8 = 5;
/// Refuses, and says nothing.
pub const IS_SILENT: u8 = 6;
/// Hands one of two blobs over: the length of the first one is 4 bytes before it, and it is that for quick code.
pub const BY_OPTIMIZATION: u8 = 7;
/// Allocates more than its heap has.
pub const EXHAUSTS: u8 = 8;
/// Hands the rest over as the blob, after some seconds for fast code.
pub const DAWDLES: u8 = 9;
/// Says that another call of it is running, which is a lie.
pub const PRETENDS: u8 = 10;

/// The steps of a compilation that takes its time: some seconds in an emulator.
const STEPS: u32 = 100_000_000;

impl Engine for Sham {
    fn describe(&self, into: &mut Description) -> Result<(), EngineError> {
        *into = Description { optimizations: 1 << SPEED, bounds: 1 };
        Ok(())
    }

    fn validate(&mut self, _: &[u8]) -> Result<(), EngineError> {
        Ok(())
    }

    fn compile(&mut self, options: &Options, _: &str, wasm: &[u8]) -> Result<u64, EngineError> {
        self.compiled += 1;
        let (mode, mut rest) = wasm.get(WASM_MARK.len()..).and_then(<[u8]>::split_first).ok_or(EngineError::Invalid)?;
        if *mode == BY_OPTIMIZATION {
            let (length, blobs) = rest.split_first_chunk().ok_or(EngineError::Invalid)?;
            let both = blobs.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or(EngineError::Invalid)?;
            rest = if options.optimization == SPEED { both.1 } else { both.0 };
        }
        let mut kept = KEPT.lock();
        kept.0.clear();
        kept.0.try_reserve_exact(rest.len()).map_err(|_| EngineError::NoMemory)?;
        kept.0.extend_from_slice(rest);
        kept.1 = u64::from(*mode == IS_SILENT);
        match *mode {
            HONEST | BY_OPTIMIZATION => Ok(rest.len() as u64),
            DAWDLES => {
                (0..if options.optimization == SPEED { STEPS } else { 0 }).for_each(|step| {
                    core::hint::black_box(step);
                });
                Ok(rest.len() as u64)
            }
            PRETENDS => Err(EngineError::Call(CallError::Busy)),
            SHORT => Ok(rest.len() as u64 + 1),
            REFUSES | IS_SILENT => Err(EngineError::Unsupported),
            PANICS => panic!("it was told to"),
            SPINS => loop {
                core::hint::spin_loop();
            },
            EXHAUSTS => Ok(core::hint::black_box(Vec::<u8>::with_capacity(64 << 20)).capacity() as u64),
            _ => Ok(u64::MAX),
        }
    }

    fn read(&self, offset: u64, into: &mut Out<'_, u8>) -> Result<(), EngineError> {
        let kept = KEPT.lock();
        let rest = usize::try_from(offset).ok().and_then(|offset| kept.0.get(offset..)).ok_or(EngineError::NoBlob)?;
        into.extend_from_slice(rest);
        Ok(())
    }

    fn forget(&mut self) -> Result<(), EngineError> {
        *KEPT.lock() = (Vec::new(), 0);
        Ok(())
    }

    fn explain(&self, into: &mut Out<'_, u8>) -> Result<(), EngineError> {
        if KEPT.lock().1 == 0 {
            into.extend_from_slice(b"function 7 is not to its taste");
        }
        Ok(())
    }
}
