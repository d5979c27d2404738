//! Exceptions: every one of them ends in a dump and, when a module is at
//! fault, in that module's end alone.

mod dump;
mod frame;
mod handler;
mod tables;

/// Loads descriptor tables with a handler for every exception.
pub fn install() {
    tables::load();
}
