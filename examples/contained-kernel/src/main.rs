//! The kernel of `embed-kernel`, booted by the crate `kernel-start`; `embedding.rs` is all that it takes to contain the
//! modules' faults, to bound their calls and to run them in ring 3.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod embedding;
#[cfg(target_os = "none")]
mod provider_panic;

kernel_start::kernel!(embedding::run);

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    use core::fmt::Write;
    let note = |provider: &bareflow_loader::Name| {
        let _ = writeln!(kernel_start::Console, "provider {provider}: {}", info.message());
    };
    // SAFETY: this is the panic handler, on the stack of what panicked; no provider here gives away an address on its
    // stack.
    unsafe { bareflow_containment::abandon_provider(note) };
    kernel_start::panic(info)
}
