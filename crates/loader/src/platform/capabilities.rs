//! The capabilities that a platform offers to modules.

use crate::format::valid::Capabilities;
use crate::platform::Platform;

impl Capabilities {
    /// Returns the capabilities of `platform`.
    pub fn of(platform: &impl Platform) -> Capabilities {
        Capabilities {
            services: platform.offered_services(),
            cpu_level: platform.cpu_level(),
            checksum: platform.checksum(),
        }
    }
}
