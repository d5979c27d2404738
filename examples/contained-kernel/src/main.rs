//! The kernel of `embed-kernel`, booted by the crate `kernel-start`; `embedding.rs` is all that it takes to contain the
//! modules' faults, to bound their calls and to run them in ring 3.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod embedding;

kernel_start::kernel!(embedding::run);
