//! How what is missing is installed: by `make setup` in the checkout, by packages elsewhere.

use std::path::Path;

/// Tells to run `make setup` in the checkout, and `elsewhere` where there is none.
#[must_use]
pub fn setup_or(elsewhere: &str) -> String {
    if in_checkout() { "run `make setup`".to_owned() } else { elsewhere.to_owned() }
}

/// Tells to do `first`, and in the checkout to run `make setup` otherwise.
#[must_use]
pub fn setup_and(first: &str) -> String {
    if in_checkout() { format!("{first}, or run `make setup`") } else { first.to_owned() }
}

/// What brings a kernel into a build that has none.
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
