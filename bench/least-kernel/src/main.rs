//! The least that a kernel can do with the loader, to measure what that takes: `start.rs` boots it, and
//! `embedding.rs` has a platform for one image. For how to take the loader in see `examples/embed-kernel`.

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
