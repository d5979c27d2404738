//! The kernel of `embed-kernel`, booted by the crate `kernel-start`; `embedding.rs` is all that it takes to contain the
//! modules' faults, to bound their calls and to run them in ring 3.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod embedding;

/// The modules, as built by `cargo build`.
#[cfg(target_os = "none")]
static SUM: &[u8] = include_bytes!(concat!(env!("BAREFLOW_ARCHIVE"), "/sum.mod"));
#[cfg(target_os = "none")]
static PRIMES: &[u8] = include_bytes!(concat!(env!("BAREFLOW_ARCHIVE"), "/primes.mod"));

#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
extern "C" fn kernel_main() -> bool {
    use core::fmt::Write;
    let results = embedding::run(SUM, PRIMES, &mut kernel_start::Console);
    let _ = match results {
        Some([sum, primes]) => writeln!(kernel_start::Console, "sum: {sum}, primes: {primes}"),
        None => writeln!(kernel_start::Console, "a fault was not contained, or a module was refused"),
    };
    results == Some([5050, 168])
}

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("this example is a kernel: `cargo test --test embedding` builds and boots it");
    std::process::exit(2);
}
