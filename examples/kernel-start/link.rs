//! The build script of all kernels that this crate boots: passes the linker script to the linker.

fn main() {
    println!("cargo::rerun-if-env-changed=BAREFLOW_ARCHIVE");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
        println!("cargo::rustc-link-arg-bins=-T{folder}/../../examples/kernel-start/kernel.ld");
    }
}
