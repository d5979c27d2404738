//! The parts of the `bareflow` command, and the runner that boots kernels in QEMU.

#![deny(unsafe_code)]

pub mod boot;
pub mod build_command;
pub mod client;
pub mod disassemble_faults;
pub mod disk;
pub mod embedded;
mod explain;
pub mod host_run;
pub mod inject;
pub mod input;
pub mod input_files;
pub mod inspect;
mod kernel_domain;
pub mod module_tests;
pub mod new;
pub mod options;
pub mod output;
pub mod output_file;
pub mod qemu;
pub mod replay;
mod run_report;
pub mod serve;
pub mod setup;
mod standalone;
mod template;
pub mod tune;
pub mod watch;
mod workspace;

/// The outcome of a command that ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything passed.
    Passed,
    /// A test failed, a module faulted, or a file was refused.
    Failed,
}
