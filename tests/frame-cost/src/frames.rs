//! The ways of a frame through a driver.

use anyhow::Result;
use bareflow::client::Client;
use bareflow_loader::Domain;

use crate::kernel::{load, unload};
use crate::{Blobs, Counts, measured_by};

/// The modules on the way of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameWay {
    /// One in ring 0, which is driver and user.
    Alone,
    /// A driver, and its user.
    Driver(Domain, Domain),
    /// A driver, one that passes frames on, and its user, all in ring 3.
    Passed,
}

impl FrameWay {
    /// Those that are measured.
    pub const ALL: [FrameWay; 5] = [
        FrameWay::Alone,
        FrameWay::Driver(Domain::Kernel, Domain::Kernel),
        FrameWay::Driver(Domain::User, Domain::Kernel),
        FrameWay::Driver(Domain::User, Domain::User),
        FrameWay::Passed,
    ];

    /// Measures it with cards that a module `driver` drives. Returns the instructions by length.
    ///
    /// # Errors
    /// When a module can't be loaded or measures nothing.
    pub fn measure(self, client: &mut Client, blobs: &Blobs, driver: &str) -> Result<[Counts; 2]> {
        let modules = match self {
            // For the first card, until its user has its own driver.
            FrameWay::Alone => vec![("driver", blobs.renamed(driver, "driver")?, Domain::Kernel)],
            FrameWay::Driver(domain, _) => vec![("virtio-net", blobs.renamed(driver, "virtio-net")?, domain)],
            FrameWay::Passed => vec![
                ("driver", blobs.renamed(driver, "driver")?, Domain::User),
                ("virtio-net", blobs.renamed("pass", "virtio-net")?, Domain::User),
            ],
        };
        for (_, blob, domain) in &modules {
            load(client, blob, *domain)?;
        }
        // The peer's driver takes the other card.
        load(client, &blobs.renamed(driver, "second")?, Domain::Kernel)?;
        let (user, domain) = match self {
            FrameWay::Alone => ("blast-alone", Domain::Kernel),
            FrameWay::Driver(_, user) => ("blast", user),
            FrameWay::Passed => ("blast", Domain::User),
        };
        if self == FrameWay::Alone {
            unload(client, "driver")?;
        }
        load(client, blobs.get(user)?, domain)?;
        let counts = measured_by(client, user)?;
        unload(client, user)?;
        unload(client, "second")?;
        for (name, ..) in modules.iter().rev().filter(|_| self != FrameWay::Alone) {
            unload(client, name)?;
        }
        Ok(counts)
    }
}
