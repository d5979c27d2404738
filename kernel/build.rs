//! Passes the kernel's linker script on, and says where its archive of modules lies.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=kernel.ld");
    println!("cargo::rerun-if-env-changed=BAREFLOW_ARCHIVE");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let folder = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo::rustc-link-arg-bins=-T{folder}/kernel.ld");
    println!("cargo::rustc-link-arg-bins=--build-id=none");
    // A kernel built by itself carries no modules.
    let archive = std::env::var("BAREFLOW_ARCHIVE").unwrap_or_else(|_| {
        let empty = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("empty.tar");
        std::fs::write(&empty, []).expect("OUT_DIR can be written");
        empty.display().to_string()
    });
    println!("cargo::rustc-env=BAREFLOW_ARCHIVE_FILE={archive}");
}
