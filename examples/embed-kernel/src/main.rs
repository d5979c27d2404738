//! An existing kernel: `start.rs` boots it, `memory.rs` has its page tables and frames, and `embedding.rs` is all that
//! it takes to embed the loader.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod embedding;
#[cfg(target_os = "none")]
mod memory;
#[cfg(target_os = "none")]
mod start;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this example is a kernel: `cargo test --test embedding` builds and boots it");
    std::process::exit(2);
}
