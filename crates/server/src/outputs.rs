//! The output buffers of calls: calls of one module use the first, a comparison both.

use alloc::vec::Vec;

use bareflow_loader::Platform;
use bareflow_suite::OUTPUT_CAPACITY;
use bareflow_suite::fallible::NoMemory;

use crate::{Server, ServerEnvironment};

/// The output buffers, allocated once, so that waiting calls need no memory.
///
/// A module never finds the output of another client's call in them, so it can't pass it on by claiming a greater
/// length.
#[derive(Default)]
pub(crate) struct Outputs {
    buffers: [Vec<u8>; 2],
    /// The number of the job that used them last.
    job: u64,
}

impl Outputs {
    /// Allocates both buffers.
    pub fn new() -> Result<Outputs, NoMemory> {
        Ok(Outputs { buffers: [zeros(OUTPUT_CAPACITY)?, zeros(OUTPUT_CAPACITY)?], job: 0 })
    }

    /// Returns both buffers for the job numbered `job`. Clears them if another job used them last.
    fn of(&mut self, job: u64) -> &mut [Vec<u8>; 2] {
        if core::mem::replace(&mut self.job, job) != job {
            // Clears the whole buffers, since a module may write more than it says.
            self.buffers.iter_mut().for_each(|buffer| buffer.fill(0));
        }
        &mut self.buffers
    }

    /// Takes back a buffer that was truncated to a call's output and sent.
    pub fn take_back(&mut self, mut buffer: Vec<u8>) {
        let [first, _] = &mut self.buffers;
        if first.is_empty() && buffer.capacity() >= OUTPUT_CAPACITY {
            // This stays within the buffer's capacity.
            buffer.resize(OUTPUT_CAPACITY, 0);
            *first = buffer;
        }
    }
}

impl<P: Platform, S: ServerEnvironment> Server<'_, P, S> {
    /// Lends both buffers to the job numbered `job`.
    ///
    /// They are taken out meanwhile: modules run, and so may whatever clients ask for then.
    pub(crate) fn with_outputs<T>(&self, job: u64, work: impl FnOnce(&mut [Vec<u8>; 2]) -> T) -> T {
        let mut outputs = self.outputs.take();
        let done = work(outputs.of(job));
        self.outputs.replace(outputs);
        done
    }
}

fn zeros(length: usize) -> Result<Vec<u8>, NoMemory> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(length)?;
    zeros.resize(length, 0);
    Ok(zeros)
}
