//! Runs the tools of a build.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::BuildError;

/// Variables of an outer cargo or clippy that must not reach an inner build.
const LEAKING: [&str; 8] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTDOC",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET",
];

/// A command for `tool` that an outer build doesn't influence.
#[must_use]
pub fn command(tool: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(tool);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if LEAKING.contains(&name.as_ref()) || name.starts_with("CARGO_PROFILE_") || name.starts_with("CARGO_FEATURE_")
        {
            command.env_remove(name.as_ref());
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs `command` to its end and collects what it says.
///
/// # Errors
/// When it can't be started.
pub fn output(command: &mut Command) -> Result<Output, BuildError> {
    let tool = command.get_program().to_string_lossy().into_owned();
    command.output().map_err(|error| BuildError::Tool { tool, reason: format!("{error}; run `make setup`") })
}

/// Writes `bytes` to `path` at once or not at all, and only when they differ
/// from what is there. Makes the folder it lies in.
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
    // As any program's file: for all to read, unless the user's mask says otherwise.
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
