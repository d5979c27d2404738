//! The BareFlow kernel: boots, takes memory and traps into its own hands,
//! loads modules, runs them and reports.
//!
//! The story in order: `boot` (how control arrives), `cpu`, `memory`,
//! `traps`, `platform` (what the loader asks for), `run` (the run
//! itself), `power` (the end). `console` and `serial` are its voice.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
extern crate alloc;

macro_rules! kernel {
    ($($module:ident)+) => { $(#[cfg(target_os = "none")] mod $module;)+ };
}

kernel! { boot clock console cpu disk exhaust trampoline image inject memory options platform power recorder run selfcheck serial serve services soak traps virtio }

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is the kernel: it runs on x86_64-unknown-none only; `cargo run -- boot` builds and boots it");
    std::process::exit(2);
}
