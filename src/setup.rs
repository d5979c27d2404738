//! Advice on how to install what is missing: by `make setup` in the checkout, by packages elsewhere.

use std::path::Path;

/// Returns the advice to run `make setup` in the checkout, and `elsewhere` outside of it.
#[must_use]
pub fn setup_or(elsewhere: &str) -> String {
    if in_checkout() { "run `make setup`".to_owned() } else { elsewhere.to_owned() }
}

/// Returns `first`, and in the checkout the alternative of running `make setup`.
#[must_use]
pub fn setup_and(first: &str) -> String {
    if in_checkout() { format!("{first}, or run `make setup`") } else { first.to_owned() }
}

/// Returns the advice for a build without a kernel.
#[must_use]
pub fn kernel_remedy() -> String {
    let target = "`rustup target add x86_64-unknown-none`";
    if in_checkout() {
        "run `make setup`, then build again".to_owned()
    } else {
        format!("run {target}, then build `bareflow` again from its checkout")
    }
}

/// Whether the current folder lies in the checkout, where the Makefile is.
fn in_checkout() -> bool {
    std::env::current_dir().is_ok_and(|here| here.ancestors().any(is_checkout))
}

fn is_checkout(folder: &Path) -> bool {
    ["Makefile", "kernel/Cargo.toml", "abi/Cargo.toml"].iter().all(|file| folder.join(file).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_checkout_has_a_makefile() {
        assert!(is_checkout(Path::new(env!("CARGO_MANIFEST_DIR"))));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Makefile"), "").unwrap();
        assert!(!is_checkout(folder.path()));
    }
}
