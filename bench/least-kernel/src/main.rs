//! The smallest kernel with the loader, to measure what the loader adds: `start.rs` boots it, and `embedding.rs` has a
//! platform for one image.
//!
//! `examples/embed-kernel` shows how to embed the loader in a real kernel.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[cfg_attr(feature = "without-loader", path = "nothing.rs")]
mod embedding;
#[cfg(target_os = "none")]
mod start;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is a kernel: `make bench` builds and boots it");
    std::process::exit(2);
}
