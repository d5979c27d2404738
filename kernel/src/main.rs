//! The BareFlow kernel: boots, takes over memory and traps, loads modules, runs them and reports.
//!
//! Control flows through the modules in this order: `boot` (the entry), `memory`, `containment` (what the crate
//! `bareflow-containment` is told of this kernel), `run` (the run itself), `power` (the end). `console` and `serial` do
//! the output; `interfaces` are what modules may import; `rigs` are tests.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod console;
#[cfg(target_os = "none")]
mod containment;
#[cfg(target_os = "none")]
mod devices;
#[cfg(target_os = "none")]
mod disk;
#[cfg(target_os = "none")]
mod dump;
#[cfg(target_os = "none")]
mod embedded;
#[cfg(target_os = "none")]
mod interfaces;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod power;
#[cfg(all(target_os = "none", feature = "rigs"))]
mod rigs;
#[cfg(target_os = "none")]
mod run;
#[cfg(target_os = "none")]
mod serial;
#[cfg(target_os = "none")]
mod serve;
#[cfg(target_os = "none")]
mod trace;
#[cfg(target_os = "none")]
mod virtio;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is the kernel: it runs on x86_64-unknown-none only; `cargo run -- boot` builds and boots it");
    std::process::exit(2);
}
