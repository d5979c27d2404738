//! The interfaces that the kernel provides to modules: random numbers (`random`), values on the disk (`store`), and its own
//! channel.

mod random;
mod store;

use bareflow_random::Random;
use bareflow_store::Store;
use bareflow_suite::line;

use crate::console::KernelConsole;
use crate::containment::Manager;
use crate::serve::provide_channel;
use random::Processor;
use store::DiskStore;

/// Provides all of them under the name `kernel`.
pub fn provide(manager: &Manager) {
    // A processor without a generator provides none, and a module that imports it is refused.
    let random = Processor::find().map(|processor| manager.provide::<dyn Random, _>("kernel", processor));
    let store = manager.provide::<dyn Store, _>("kernel", DiskStore);
    let channel = provide_channel(manager);
    for (name, provided) in [("random", random.unwrap_or(Ok(()))), ("store", store), ("channel", channel)] {
        if let Err(error) = provided {
            line!(&KernelConsole, Warning, "[WARN] interface {name}: {error}");
        }
    }
}
