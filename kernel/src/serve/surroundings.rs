//! What the server asks of the kernel besides its modules.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bareflow_loader::report::Style;
use bareflow_protocol::control::File;
use bareflow_server::Surroundings;

use super::port;
use crate::console;
use crate::traps::timer;

/// The kernel.
pub struct KernelSurroundings {
    icount: bool,
}

impl KernelSurroundings {
    /// The kernel, whose clock's ticks are instructions or not.
    pub const fn new(icount: bool) -> KernelSurroundings {
        KernelSurroundings { icount }
    }
}

impl Surroundings for KernelSurroundings {
    fn send(&self, bytes: &[u8]) {
        port::send(bytes);
    }

    fn milliseconds(&self) -> u64 {
        timer::milliseconds()
    }

    fn clock_name(&self) -> &'static str {
        if self.icount { "icount" } else { "tsc" }
    }

    fn say(&self, style: Style, text: fmt::Arguments<'_>) {
        console::show(style, text);
    }

    fn log(&self, from: u64) -> (u64, Vec<String>) {
        console::lines_from(from)
    }

    fn files(&self, _: &str) -> Result<Vec<File>, String> {
        Err(NO_DISK.into())
    }

    fn read(&self, _: &str) -> Result<Vec<u8>, String> {
        Err(NO_DISK.into())
    }

    fn save(&self, _: &[u8]) -> Result<String, String> {
        Err(NO_DISK.into())
    }
}

const NO_DISK: &str = "no disk is attached; boot with `--disk IMG`";
