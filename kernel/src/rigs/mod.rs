//! Test rigs: what the kernel can do instead of running modules, and the recorder of their calls.

mod crowd;
mod events;
mod exhaust;
mod inject;
mod meter;
mod providers;
pub mod recorder;
mod selfcheck;
mod soak;

use bareflow_protocol::KernelOptions;
use bareflow_protocol::options::Rig;
use bareflow_suite::archive::Archive;

use crate::containment::Manager;

/// Runs a rig, and returns whether all went well.
pub fn run(manager: &Manager, archive: &Archive<'_>, options: &KernelOptions, rig: Rig) -> bool {
    let load = &options.load;
    match rig {
        Rig::SelfCheck => selfcheck::run(manager, archive, load),
        Rig::Soak(rounds) => soak::run(manager, archive, load, rounds),
        Rig::Providers => providers::run(manager, archive, load),
        Rig::Meter => meter::provide(manager),
        Rig::Events => events::run(manager, archive, load),
        Rig::Crowd(crowd) => crowd::run(manager, archive, load, crowd),
        Rig::Exhaust => exhaust::run(manager, archive, load),
        Rig::Inject(campaign) => inject::run(manager, archive, load, campaign),
    }
}
