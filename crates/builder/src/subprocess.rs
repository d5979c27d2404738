//! Running of the tools of a build.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io::IsTerminal;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::BuildError;

/// Variables of an outer cargo or clippy, or of the user's shell, that must not reach an inner build.
const SCRUBBED_ENV: [&str; 8] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOC",
    "CARGO_TARGET_DIR",
    "CARGO_INCREMENTAL",
];

/// The variable for the number of parallel compilers. It is passed on, since it changes no byte of the output.
const HARMLESS: &str = "CARGO_BUILD_JOBS";

/// Whether a variable can change the output of an inner build.
fn is_scrubbed(name: &str) -> bool {
    let starts = ["CARGO_PROFILE_", "CARGO_FEATURE_", "CARGO_BUILD_", "CARGO_UNSTABLE_"];
    let of_target = name.starts_with("CARGO_TARGET_") && name.ends_with("_RUSTFLAGS");
    name != HARMLESS
        && (SCRUBBED_ENV.contains(&name) || of_target || starts.iter().any(|start| name.starts_with(start)))
}

/// Returns the variables with compiler flags that are set here but ignored by module builds.
#[must_use]
pub fn flags_set_aside() -> Vec<String> {
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    names.filter(|name| is_scrubbed(name) && name.ends_with("RUSTFLAGS")).collect()
}

/// Returns a command for `tool` that an outer build doesn't influence.
#[must_use]
pub fn command(tool: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(tool);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if is_scrubbed(&name) {
            command.env_remove(name.as_ref());
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Makes cargo use colours if standard error is a terminal.
///
/// Cargo does not detect that itself, since its output is captured first.
pub fn ask_for_colours(cargo: &mut Command) {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if wants_colours(std::io::stderr().is_terminal(), set("NO_COLOR"), set("CARGO_TERM_COLOR")) {
        cargo.env("CARGO_TERM_COLOR", "always");
    }
}

/// Whether cargo should use colours: only on a terminal, and only if the user did not decide otherwise.
const fn wants_colours(is_terminal: bool, no_color: bool, has_own_wish: bool) -> bool {
    is_terminal && !no_color && !has_own_wish
}

/// Runs `command` to its end and captures its output.
///
/// # Errors
/// When it can't be started.
pub fn output(command: &mut Command) -> Result<Output, BuildError> {
    let tool = command.get_program().to_string_lossy().into_owned();
    command.output().map_err(|error| BuildError::Tool {
        tool,
        reason: format!(
            "{error}; install it, or put its folder into PATH (in BareFlow's own checkout `make setup` does)"
        ),
    })
}

/// Writes `bytes` to `path` atomically, and only if they differ from the file's content. Makes the folder if necessary.
///
/// # Errors
/// When the file or its folder can't be written.
pub fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let failed = |error| BuildError::File { path: path.to_owned(), action: "write", error };
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    // Temporary files are private, but this file gets the usual permissions, as the user's umask allows.
    let mut temporary = tempfile::Builder::new();
    let mut file = temporary.permissions(Permissions::from_mode(0o666)).tempfile_in(folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, bytes).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Reads a file.
///
/// # Errors
/// When it can't be read.
pub fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path).map_err(|error| BuildError::File { path: path.to_owned(), action: "read", error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_unless_the_user_says_otherwise() {
        assert!(wants_colours(true, false, false));
        assert!(!wants_colours(false, false, false) && !wants_colours(true, true, false));
        assert!(!wants_colours(true, false, true));
    }

    #[test]
    fn what_an_inner_build_does_not_see_is_all_that_changes_bytes() {
        for name in [
            "RUSTFLAGS",
            "CARGO_INCREMENTAL",
            "CARGO_BUILD_INCREMENTAL",
            "CARGO_BUILD_RUSTC_WRAPPER",
            "CARGO_BUILD_TARGET",
            "CARGO_PROFILE_RELEASE_LTO",
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
            "CARGO_TARGET_DIR",
        ] {
            assert!(is_scrubbed(name), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_BUILD_JOBS",
            "CARGO_NET_OFFLINE",
            "PATH",
            "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER",
        ] {
            assert!(!is_scrubbed(name), "{name}");
        }
    }

    #[test]
    fn a_tool_that_is_not_there_is_named_with_a_remedy() {
        let error = output(&mut command("/no/such/tool")).unwrap_err().to_string();
        assert!(error.starts_with("can't run /no/such/tool: ") && error.contains("install it"), "{error}");
    }
}
