//! What modules write their output to: one side's calls use one buffer, a comparison both.

use alloc::vec::Vec;

use bareflow_suite::OUTPUT_CAPACITY;
use bareflow_suite::fallible::NoMemory;

/// The buffers. They are there from the start, so that many calls that wait take no memory. No module finds in them what a
/// call for somebody else wrote: whatever length it claims to have written, that is not what its caller gets.
pub(crate) struct Outputs {
    buffers: [Vec<u8>; 2],
    /// The number of the job that wrote to them last.
    job: u64,
}

impl Outputs {
    /// Both of them.
    pub fn new() -> Result<Outputs, NoMemory> {
        Ok(Outputs { buffers: [zeros(OUTPUT_CAPACITY)?, zeros(OUTPUT_CAPACITY)?], job: 0 })
    }

    /// Both, for the job of that number: zeroed where another one's calls came before.
    pub fn of(&mut self, job: u64) -> &mut [Vec<u8>; 2] {
        if core::mem::replace(&mut self.job, job) != job {
            // Not only what they said they wrote: a module may write more than it says.
            self.buffers.iter_mut().for_each(|buffer| buffer.fill(0));
        }
        &mut self.buffers
    }

    /// Takes a buffer back that was cut to what a call wrote, and sent as that.
    pub fn take_back(&mut self, mut buffer: Vec<u8>) {
        let [first, _] = &mut self.buffers;
        if first.is_empty() && buffer.capacity() >= OUTPUT_CAPACITY {
            // Within its capacity.
            buffer.resize(OUTPUT_CAPACITY, 0);
            *first = buffer;
        }
    }
}

fn zeros(length: usize) -> Result<Vec<u8>, NoMemory> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(length)?;
    zeros.resize(length, 0);
    Ok(zeros)
}
