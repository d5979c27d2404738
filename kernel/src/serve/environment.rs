//! The server's environment: what it uses of the kernel besides the modules.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bareflow_containment::{may_run_modules, timer};
use bareflow_disk::Listing;
use bareflow_protocol::control::{File, FileList};
use bareflow_server::{ServerEnvironment, Tracer};
use bareflow_suite::console::{Console, Style};
use bareflow_suite::fallible::{ErrorText, collect};
use bareflow_suite::text;

use super::channel_queue;
use crate::console;
use crate::disk::modules;
use crate::trace::KernelTracer;

/// The kernel as the server's environment.
pub struct KernelEnvironment {
    icount: bool,
}

impl KernelEnvironment {
    /// Creates the server's environment. `icount`: clock ticks are instructions.
    pub const fn new(icount: bool) -> KernelEnvironment {
        KernelEnvironment { icount }
    }
}

impl Console for KernelEnvironment {
    fn show(&self, style: Style, text: fmt::Arguments<'_>) {
        console::show(style, text);
    }
}

impl ServerEnvironment for KernelEnvironment {
    fn send(&self, bytes: &[u8]) {
        channel_queue::send(bytes);
    }

    fn milliseconds(&self) -> u64 {
        timer::milliseconds()
    }

    fn may_run_modules(&self) -> bool {
        may_run_modules()
    }

    fn clock_name(&self) -> &'static str {
        if self.icount { "icount" } else { "tsc" }
    }

    fn tracer(&self) -> Option<&dyn Tracer> {
        Some(&KernelTracer)
    }

    fn log(&self, from: u64) -> Result<(u64, Vec<String>), ErrorText> {
        Ok(console::lines_from(from)?)
    }

    fn files(&self, path: &str) -> Result<FileList, ErrorText> {
        let Listing { files, cut } = modules::list(path)?;
        let file = |file: bareflow_disk::File| -> Result<File, ErrorText> {
            let identity = modules::identify(&file)?;
            let version = identity.as_ref().map(|found| found.version);
            Ok(File {
                version: version.map(|[major, minor, patch]| text!("{major}.{minor}.{patch}")).transpose()?,
                module: identity.map(|found| found.module),
                name: file.name,
                bytes: file.bytes,
                folder: file.folder,
                problem: file.problem.map(|problem| text!("{problem}")).transpose()?,
            })
        };
        let cut = cut.map(|error| text!("{error}")).transpose()?;
        Ok(FileList { files: collect(files.into_iter().map(file))?, cut })
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ErrorText> {
        modules::read(path)
    }

    fn save(&self, name: &str, blob: &[u8]) -> Result<String, ErrorText> {
        modules::save(name, blob)
    }
}
