//! The interfaces that the kernel provides to modules: random numbers (`random`), and values on the disk (`store`).

mod random;
mod store;

use bareflow_random::Random;
use bareflow_store::Store;
use bareflow_suite::line;

use crate::console::KernelConsole;
use crate::containment::Manager;
use random::Processor;
use store::DiskStore;

/// Provides all of them under the name `kernel`.
pub fn provide(manager: &Manager) {
    // A processor without a generator provides none, and a module that imports it is refused.
    let provided = Processor::find().map(|processor| manager.provide::<dyn Random, _>("kernel", processor));
    if let Some(Err(_)) = provided {
        line!(&KernelConsole, Warning, "[WARN] no memory for the provider of random numbers");
    }
    if manager.provide::<dyn Store, _>("kernel", DiskStore).is_err() {
        line!(&KernelConsole, Warning, "[WARN] no memory for the provider of the store");
    }
}
