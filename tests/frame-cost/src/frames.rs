//! The ways of a frame through a driver.

use anyhow::Result;
use bareflow::client::Client;
use bareflow_loader::Domain;

use crate::kernel::{load, unload};
use crate::{Blobs, Counts, measured_by};

/// The modules on the way of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramePath {
    /// One in ring 0, which is driver and user.
    Alone,
    /// A driver, and its user.
    Driver(Domain, Domain),
    /// A driver, one that passes frames on, and its user, all in ring 3.
    Passed,
}

impl FramePath {
    /// The lengths of frames, in bytes.
    pub const LENGTHS: [u32; 2] = [64, 1500];

    /// Those that are measured.
    pub const ALL: [FramePath; 5] = [
        FramePath::Alone,
        FramePath::Driver(Domain::Kernel, Domain::Kernel),
        FramePath::Driver(Domain::User, Domain::Kernel),
        FramePath::Driver(Domain::User, Domain::User),
        FramePath::Passed,
    ];

    /// Returns what one module more takes, by the number of frames at a time: the most of all lengths, in and out. `all` is what
    /// [`FramePath::ALL`] take.
    #[must_use]
    pub fn price_of_a_module(all: &[[Counts; 2]; FramePath::ALL.len()]) -> [u64; 2] {
        let [.., before, passed] = all;
        let mut prices = [0; 2];
        for (before, passed) in before.iter().zip(passed) {
            for (price, (before, passed)) in prices.iter_mut().zip(before.iter().zip(passed)) {
                let differences = before.iter().zip(passed).map(|(before, passed)| passed.saturating_sub(*before));
                *price = differences.fold(*price, u64::max);
            }
        }
        prices
    }

    /// Measures it with cards that a module `driver` drives. Returns the instructions by length.
    ///
    /// # Errors
    /// When a module can't be loaded or measures nothing.
    pub fn measure(self, client: &mut Client, blobs: &Blobs, driver: &str) -> Result<[Counts; 2]> {
        let (drivers, user, user_domain) = match self {
            FramePath::Alone => {
                // For the first card, until its user has its own driver.
                (vec![("driver", blobs.renamed(driver, "driver")?, Domain::Kernel)], "blast-alone", Domain::Kernel)
            }
            FramePath::Driver(domain, user) => {
                (vec![("virtio-net", blobs.renamed(driver, "virtio-net")?, domain)], "blast", user)
            }
            FramePath::Passed => {
                let passes = ("virtio-net", blobs.renamed("pass", "virtio-net")?, Domain::User);
                (vec![("driver", blobs.renamed(driver, "driver")?, Domain::User), passes], "blast", Domain::User)
            }
        };
        for (_, blob, domain) in &drivers {
            load(client, blob, *domain)?;
        }
        // The peer's driver takes the other card.
        load(client, &blobs.renamed(driver, "second")?, Domain::Kernel)?;
        let mut left = drivers.iter().map(|(name, ..)| *name).rev().collect::<Vec<_>>();
        if self == FramePath::Alone {
            left.drain(..).try_for_each(|name| unload(client, name))?;
        }
        load(client, blobs.get(user)?, user_domain)?;
        let counts = measured_by(client, user, FramePath::LENGTHS)?;
        [user, "second"].into_iter().chain(left).try_for_each(|name| unload(client, name))?;
        Ok(counts)
    }
}
