//! The parts that every kernel already has, for the example kernels: it boots by PVH into the upper two gigabytes, maps memory,
//! prints and exits.
//!
//! A kernel has a panic handler, which ends in [`panic`], and defines `kernel_main`, an `extern "C"` function that is not
//! mangled and returns whether all went well; [`kernel`] defines one that runs two modules. Its build script is `link.rs`.

#![no_std]

#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod memory;

#[cfg(target_os = "none")]
pub use bareflow_pvh::{KERNEL_BASE, PHYSICAL_MAP};
#[cfg(target_os = "none")]
pub use boot::{Console, image, low_table, panic};
#[cfg(target_os = "none")]
pub use memory::{Frames, MODULES, mapper};

/// Defines a kernel that runs the modules `sum` and `primes`, as built by `cargo build`, by a function that gets both and
/// returns their results.
#[macro_export]
macro_rules! kernel {
    ($run:path) => {
        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        extern "C" fn kernel_main() -> bool {
            use core::fmt::Write;
            let sum = include_bytes!(concat!(env!("BAREFLOW_ARCHIVE"), "/sum.mod"));
            let primes = include_bytes!(concat!(env!("BAREFLOW_ARCHIVE"), "/primes.mod"));
            let results = $run(sum, primes);
            let _ = match results {
                Some([sum, primes]) => writeln!($crate::Console, "sum: {sum}, primes: {primes}"),
                None => writeln!($crate::Console, "a module was refused, or a fault was not contained"),
            };
            results == Some([5050, 168])
        }

        #[cfg(not(target_os = "none"))]
        fn main() {
            eprintln!("this example is a kernel: `make example` builds and boots one (docs/embedding.md)");
            std::process::exit(2);
        }
    };
}
