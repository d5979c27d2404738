//! Passes frames on to the driver of a card: one module more between it and its user.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{Out, module, state};
use bareflow_nic::{Buffer, Completion, Nic, NicError};
use bareflow_regions::{Access, Regions};

state! {
    /// The part of the card that it has.
    pub struct Pass {
        /// The region, for as many frames as its user's.
        region: u32 = 0,
    }
}

module!(
    state = Pass,
    imports = { driver: Nic, regions: Regions },
    exports = [Nic],
    provider = Passer,
);

/// The size of the region, in bytes.
const REGION_BYTES: u64 = 96 * 2048;

/// The addresses and the type of a frame for all: one for experiments (IEEE 802, 9.2.3).
const HEADER: [u8; 14] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];

impl Nic for Passer<'_> {
    fn begin(&mut self, address: &mut [u8]) -> Result<(), NicError> {
        self.imports.driver.begin(address)
    }

    /// Gives the card a region of the module's own: that of its user is not its to lend.
    fn attach(&mut self, _: u32) -> Result<u32, NicError> {
        let regions = &mut self.imports.regions;
        let created = regions.create(REGION_BYTES).and_then(|region| {
            for frame in regions.exclusive(region)?.chunks_exact_mut(2048) {
                frame[..HEADER.len()].copy_from_slice(&HEADER);
            }
            regions.lend(region, "driver", Access::Shared).map(|()| region)
        });
        self.state.region = created.map_err(|_| NicError::BadRegion)?;
        self.imports.driver.attach(self.state.region)
    }

    fn receive(&mut self, empty: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        self.imports.driver.receive(empty, into)
    }

    fn send(&mut self, frames: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        self.imports.driver.send(frames, into)
    }
}
