//! The build script of all kernels that this crate boots: passes the linker script to the linker, and says where the
//! modules lie that they contain.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-env-changed=BAREFLOW_ARCHIVE");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let root = Path::new(&folder).join("../..");
    println!("cargo::rustc-link-arg-bins=-T{}/examples/kernel-start/kernel.ld", root.display());
    if std::env::var_os("BAREFLOW_ARCHIVE").is_none() {
        let modules = root.join("target/modules");
        println!("cargo::rustc-env=BAREFLOW_ARCHIVE={}", modules.display());
        for name in ["sum", "primes", "thermostat"] {
            let blob = modules.join(name).with_extension("mod");
            println!("cargo::rerun-if-changed={}", blob.display());
            if !blob.is_file() {
                println!(
                    "cargo::error=there is no target/modules/{name}.mod: `cargo run -- build sum primes examples/thermostat` \
                     makes it; BAREFLOW_ARCHIVE names another folder with modules"
                );
            }
        }
    }
}
