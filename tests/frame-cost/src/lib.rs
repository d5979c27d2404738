//! Measures frames and TCP segments on their way through modules: two cards on a wire inside a machine in which a tick is an
//! instruction.
//!
//! ```text
//! frames.rs    through a driver
//! segments.rs  through a driver and a stack
//! blobs.rs     the modules, by their names or by others
//! kernel.rs    what is asked of the kernel
//! ```

#![forbid(unsafe_code)]

mod blobs;
mod frames;
mod kernel;
mod segments;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bareflow::client::Client;
use bareflow::qemu::{Machine, Network};

pub use blobs::{Blobs, with_name};
pub use frames::FramePath;
pub use segments::SegmentPath;

/// The numbers of frames at a time.
pub const BATCHES: [u32; 2] = [1, 32];

/// The instructions that a frame takes in and out, for each number of frames at a time.
pub type Counts = [[u64; 2]; 2];

/// Puts two cards on a wire into a machine: those of `network`, `wire` by itself being virtio's.
pub fn put_on_a_wire(machine: &mut Machine, network: &str, iommu: bool) {
    machine.network = Network::parse(network);
    (machine.icount, machine.iommu) = (true, iommu);
    machine.timeout = Duration::from_secs(300);
}

/// Calls a module that measures. Returns its figures by length.
fn measured_by(client: &mut Client, module: &str, lengths: [u32; 2]) -> Result<[Counts; 2]> {
    let (result, output) = kernel::call(client, module)?;
    ensure!(result == 0, "{module} returned {result}: {output}");
    let mut all = [[[0; 2]; 2]; 2];
    for (counts, length) in all.iter_mut().zip(lengths) {
        for (counts, count) in counts.iter_mut().zip(BATCHES) {
            let name = format!("{length} bytes, {count} at a time: ");
            let (_, found) = output.split_once(&name).with_context(|| format!("no {name}\n{output}"))?;
            let mut numbers = found.split(' ').step_by(2).map_while(|word| word.parse().ok());
            for place in counts {
                *place = numbers.next().with_context(|| format!("no number behind {name}\n{output}"))?;
            }
        }
    }
    Ok(all)
}
