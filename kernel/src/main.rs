//! The BareFlow kernel: boots, takes over memory and traps, loads modules, runs them and reports.
//!
//! Control flows through the modules in this order: `boot` (the entry), `cpu`, `memory`, `traps`, `platform` (the
//! loader's interface to the machine), `run` (the run itself), `power` (the end). `console` and `serial` do the
//! output.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod clock;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod cpu;
#[cfg(target_os = "none")]
mod disk;
#[cfg(target_os = "none")]
mod exhaust;
#[cfg(target_os = "none")]
mod image;
#[cfg(target_os = "none")]
mod inject;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod options;
#[cfg(target_os = "none")]
mod platform;
#[cfg(target_os = "none")]
mod power;
#[cfg(target_os = "none")]
mod recorder;
#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
mod selectors;
#[cfg(target_os = "none")]
mod selfcheck;
#[cfg(target_os = "none")]
mod serial;
#[cfg(target_os = "none")]
mod serve;
#[cfg(target_os = "none")]
mod services;
#[cfg(target_os = "none")]
mod soak;
#[cfg(target_os = "none")]
mod trampoline;
#[cfg(target_os = "none")]
mod traps;
#[cfg(target_os = "none")]
mod virtio;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is the kernel: it runs on x86_64-unknown-none only; `cargo run -- boot` builds and boots it");
    std::process::exit(2);
}
