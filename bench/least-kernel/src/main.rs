//! The smallest kernel with the loader, to measure what the loader adds: `kernel-start` boots it, `pages.rs` maps
//! one image, and `embedding.rs` has a platform for it.
//!
//! `examples/embed-kernel` shows how to embed the loader in a real kernel.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
#[cfg_attr(feature = "without-loader", path = "nothing.rs")]
mod embedding;
#[cfg(target_os = "none")]
mod pages;

#[cfg(target_os = "none")]
static BLOB: &[u8] = include_bytes!(env!("BAREFLOW_ARCHIVE"));

#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
extern "C" fn kernel_main() -> bool {
    use core::fmt::Write;
    pages::map();
    let result = embedding::run(BLOB);
    let _ = match result {
        Some((result, cycles)) => writeln!(kernel_start::Console, "sum.mod: {result} in {cycles} cycles"),
        None => writeln!(kernel_start::Console, "sum.mod: refused"),
    };
    result.is_some_and(|(result, _)| result == 5050)
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    kernel_start::panic(info)
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this is a kernel: `make bench` builds and boots it");
    std::process::exit(2);
}
