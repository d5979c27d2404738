//! An existing kernel, booted by the crate `kernel-start`; `embedding.rs` is all that it takes to embed the loader.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod embedding;

kernel_start::kernel!(embedding::run);

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    kernel_start::panic(info)
}
