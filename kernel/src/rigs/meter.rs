//! The provider that a module measures calls by an interface with.

use bareflow_suite::console::Style;
use meter_interface::{Meter, Plain};

use crate::console;
use crate::containment::Manager;

/// Provides the interface by the name of `kernel`, for a run of modules.
pub fn provide(manager: &Manager) -> bool {
    let provided = manager.provide::<dyn Meter, _>("kernel", Plain);
    if let Err(error) = &provided {
        console::show(Style::Error, format_args!("[ERROR] meter: {error}\n"));
    }
    provided.is_ok()
}
