//! The interface `random`, by the system's generator.

use bareflow_abi::Out;
use bareflow_random::{Random, RandomError};

/// The system's generator of random numbers, for [`provide`](bareflow_loader::ModuleManager::provide).
#[derive(Clone, Copy, Debug)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut Out<'_, u8>) -> Result<(), RandomError> {
        let mut chunk = [0; 256];
        while bytes.remaining() > 0 {
            let chunk = &mut chunk[..bytes.remaining().min(256)];
            getrandom::fill(chunk).map_err(|_| RandomError::Unavailable)?;
            bytes.extend_from_slice(chunk);
        }
        Ok(())
    }
}
