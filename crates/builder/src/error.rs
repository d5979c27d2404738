//! Errors of a build.

use std::path::PathBuf;

use anstream::adapter::strip_str;
use bareflow_packer::PackError;

/// An error that stopped a build.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// `cargo metadata` failed.
    #[error("cargo metadata failed: {reason}")]
    Metadata {
        /// Cargo's message.
        reason: String,
    },
    /// The table `package.metadata.bareflow` can't be used.
    #[error("module {krate}: package.metadata.bareflow in its Cargo.toml: {reason}")]
    Settings {
        /// The crate.
        krate: String,
        /// A text that says what was found, what was expected, and what to do.
        reason: String,
    },
    /// The `Cargo.toml` can't be a module's.
    #[error("module {krate}: its Cargo.toml: {reason}")]
    Manifest {
        /// The crate.
        krate: String,
        /// A text that says what was found, what was expected, and what to do.
        reason: String,
    },
    /// There is no such module.
    #[error(
        "no module {name}: there are {}; `bareflow new {name}` makes it",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    NoSuchModule {
        /// The requested name.
        name: String,
        /// The names of the modules that there are.
        known: Vec<String>,
    },
    /// A tool can't be started.
    #[error("can't run {tool}: {reason}")]
    Tool {
        /// The tool.
        tool: String,
        /// The system's message, and what to do.
        reason: String,
    },
    /// A crate doesn't compile.
    #[error(
        "module {krate} does not compile:\n{}{}",
        .output.trim_end(),
        // The compiler's messages may contain colours.
        hints(krate, &strip_str(output).to_string()).iter().map(|hint| format!("\nhelp: {hint}")).collect::<String>()
    )]
    Compile {
        /// The crate.
        krate: String,
        /// The compiler's messages.
        output: String,
    },
    /// A module doesn't link.
    #[error("module {krate} does not link:\n{}", .output.trim_end())]
    Link {
        /// The crate.
        krate: String,
        /// The linker's messages.
        output: String,
    },
    /// A module can't be packed.
    #[error(
        "module {krate} can't be packed: {error}{}",
        notes.iter().map(|note| format!("\n  {note}")).collect::<String>()
    )]
    Pack {
        /// The crate.
        krate: String,
        /// The reason.
        #[source]
        error: PackError,
        /// The linker's notes on who needs a missing symbol.
        notes: Vec<String>,
    },
    /// A file can't be read or written.
    #[error("can't {action} {}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The action that failed.
        action: &'static str,
        /// The system's error.
        #[source]
        error: std::io::Error,
    },
    /// There is no `core` library for the kernel's target.
    #[error(
        "no core library for x86_64-unknown-none: neither rustup's target nor Debian's compiler with its source is \
         here; run `rustup target add x86_64-unknown-none`, or `make setup` in BareFlow's own checkout"
    )]
    NoKernelTarget,
    /// There is no `core` library for portable modules.
    #[error(
        "no core library for wasm32v1-none, the target of portable modules: neither rustup's nor Debian's compiler with its \
         source is here; run `rustup target add wasm32v1-none`, or `make setup` in BareFlow's own checkout"
    )]
    NoPortableTarget,
}

/// Returns hints for errors whose fix is specific to modules, where the compiler's own advice does not help.
fn hints(krate: &str, output: &str) -> Vec<String> {
    let mut hints = Vec::new();
    if output.contains("no global memory allocator found") {
        hints.push(
            "a module's allocator is the feature `alloc` of bareflow-abi: write `features = [\"alloc\"]` beside it among \
             the dependencies, and `heap = \"64K\"` into [package.metadata.bareflow]"
                .to_owned(),
        );
    }
    if output.contains("E0152") || output.contains("found duplicate lang item") {
        // "the lang item is first defined in crate `std` (which `NAME` depends on)"
        let by = output.split("(which `").nth(1).and_then(|rest| rest.split('`').next());
        let name = by.unwrap_or("a dependency");
        hints.push(if name == krate.replace('-', "_") {
            "a module can't use `std`: write `#![no_std]` into the first line of its lib.rs".to_owned()
        } else {
            format!(
                "{name} uses `std`, which a module can't: write `default-features = false` beside it among the \
                 dependencies, if it has a feature `std`; where the module's own default features turn that on, write it \
                 into [package.metadata.bareflow]"
            )
        });
    }
    if output.contains("--locked was passed") {
        hints.push("Cargo.lock does not have what Cargo.toml says now: `cargo check` enters it".to_owned());
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::{BuildError, hints};

    #[test]
    fn finds_what_the_compiler_says_in_colours() {
        let output = "\x1b[1m\x1b[91merror\x1b[0m: no global \x1b[1mmemory\x1b[0m allocator found".to_owned();
        let said = BuildError::Compile { krate: "m".to_owned(), output: output.clone() }.to_string();
        assert!(said.contains(&output) && said.contains("\nhelp: a module's allocator is the feature"), "{said}");
    }

    #[test]
    fn says_what_the_compiler_does_not_know() {
        assert!(
            hints("m", "error: no global memory allocator found but one is required")[0]
                .contains("features = [\"alloc\"]")
        );
        let said = "error[E0152]: found duplicate lang item `panic_impl`\n  = note: the lang item is first defined in crate \
                    `std` (which `either` depends on)";
        let hint = hints("m", said).remove(0);
        assert!(hint.starts_with("either uses `std`") && hint.contains("default-features = false"), "{hint}");
        let own = hints("ei-ther", &said.replace("either", "ei_ther")).remove(0);
        assert!(own.contains("`#![no_std]`"), "{own}");
        let locked = "error: cannot update the lock file Cargo.lock because --locked was passed to prevent this";
        assert!(hints("m", locked)[0].contains("`cargo check`"));
        assert!(hints("m", "error[E0308]: mismatched types").is_empty());
    }
}
