//! The ways of a TCP segment through a driver and a stack.

use anyhow::Result;
use bareflow::client::Client;
use bareflow_loader::Domain;

use crate::kernel::{load, unload};
use crate::{Blobs, Counts, measured_by};

/// The domains of the modules on the way of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentPath {
    /// The driver's domain.
    pub driver: Domain,
    /// The stack's domain.
    pub stack: Domain,
    /// The domain of the stack's user.
    pub user: Domain,
}

impl SegmentPath {
    /// The lengths of the segments' frames, in bytes: the least that the stack sends, and large ones.
    pub const LENGTHS: [u32; 2] = [102, 1500];

    /// Those that are measured: from ring 0 alone to ring 3 alone.
    pub const ALL: [SegmentPath; 4] = {
        let [kernel, user] = [Domain::Kernel, Domain::User];
        [
            SegmentPath { driver: kernel, stack: kernel, user: kernel },
            SegmentPath { driver: user, stack: kernel, user: kernel },
            SegmentPath { driver: user, stack: user, user: kernel },
            SegmentPath { driver: user, stack: user, user },
        ]
    };

    /// Measures it. Returns the instructions by length.
    ///
    /// # Errors
    /// When a module can't be loaded or measures nothing.
    pub fn measure(self, client: &mut Client, blobs: &Blobs) -> Result<[Counts; 2]> {
        load(client, blobs.get("virtio-net")?, self.driver)?;
        load(client, &blobs.renamed("virtio-net", "second")?, Domain::Kernel)?;
        load(client, blobs.get("tcpip")?, self.stack)?;
        load(client, blobs.get("segments")?, self.user)?;
        let counts = measured_by(client, "segments", SegmentPath::LENGTHS)?;
        for name in ["segments", "tcpip", "second", "virtio-net"] {
            unload(client, name)?;
        }
        Ok(counts)
    }
}
