//! The interface `random`, by the processor's generator.

use core::cell::Cell;

use bareflow_abi::Out;
use bareflow_random::{Random, RandomError};
use x86_64::instructions::random::RdRand;

/// The number of times that an empty generator is asked (Intel SDM volume 1, Random Number Generator Instructions).
const TRIES: u32 = 10;

/// The number of words that the generator gives before it is relied on.
const CHECKED: u32 = 4;

/// The processor's generator of random numbers.
pub struct Processor {
    instruction: RdRand,
    /// The last word. A generator that says the same again is broken: some of AMD's repeat one number after a sleep, and
    /// call it random.
    last: Cell<u64>,
}

impl Processor {
    /// Returns the generator, if the processor has one that works.
    pub fn find() -> Option<Processor> {
        let processor = Processor { instruction: RdRand::new()?, last: Cell::new(0) };
        (0..CHECKED).all(|_| processor.next().is_some()).then_some(processor)
    }

    fn next(&self) -> Option<u64> {
        let word = (0..TRIES).find_map(|_| self.instruction.get_u64())?;
        (self.last.replace(word) != word).then_some(word)
    }
}

impl Random for Processor {
    fn fill(&self, bytes: &mut Out<'_, u8>) -> Result<(), RandomError> {
        while bytes.remaining() > 0 {
            bytes.extend_from_slice(&self.next().ok_or(RandomError::Unavailable)?.to_le_bytes());
        }
        Ok(())
    }
}
