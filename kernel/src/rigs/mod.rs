//! Test rigs: what the command line can make the kernel do instead of running modules, and the recorder of their calls.

mod exhaust;
mod inject;
pub mod recorder;
mod selfcheck;
mod soak;

use bareflow_containment::Contained;

use crate::memory::BootFacts;
use crate::options::Options;

/// Runs the rig that the command line asks for, and returns whether all went well; the platform if it asks for none.
pub fn run(mut platform: Contained, boot: &'static BootFacts, options: &Options) -> Result<bool, Contained> {
    Ok(match options.campaign {
        Some(campaign) => inject::run(platform, boot, options, campaign),
        None if options.selfcheck => selfcheck::run(platform, boot, options),
        None if options.exhaust => exhaust::run(platform, boot, options),
        None => match options.soak {
            Some(rounds) => soak::run(platform, boot, options, rounds),
            None => {
                if options.record && !options.serve {
                    recorder::start(&mut platform);
                }
                return Err(platform);
            }
        },
    })
}
