//! The socket's default path, for `serve` and for clients.
//!
//! The path is, in this order: `--socket`, the variable `BAREFLOW_SOCKET`, `target/bareflow.sock` of the workspace at
//! or above the current folder, `bareflow.sock` in the user's runtime folder. A kernel that is served in a workspace is
//! found from elsewhere through a link in the runtime folder, unless another kernel uses that path already.

use std::env;
use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::workspace;

/// The environment variable with the socket's path.
pub const VARIABLE: &str = "BAREFLOW_SOCKET";

/// The socket's name in the runtime folder.
const NAME: &str = "bareflow.sock";

/// Returns the socket that the user named, by the option or else by the variable.
fn said(option: Option<&Path>) -> Option<PathBuf> {
    let variable = || env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    option.map(Path::to_owned).or_else(variable)
}

/// Returns the workspace's socket; relative if the current folder is the workspace's root.
fn of_workspace() -> Option<PathBuf> {
    let relative = Path::new("target").join(NAME);
    let root = workspace::workspace_manifest().ok()?.parent()?.to_owned();
    Some(if env::current_dir().is_ok_and(|here| here == root) { relative } else { root.join(relative) })
}

/// Returns the socket in the user's private runtime folder.
fn of_user() -> Option<PathBuf> {
    let folder = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let runtime = folder("XDG_RUNTIME_DIR").or_else(|| Some(folder("HOME")?.join(".cache").join("bareflow")));
    Some(runtime?.join(NAME))
}

/// Returns the path on which `serve` listens, and that of the link by which it is found from elsewhere.
#[must_use]
pub fn to_listen(option: Option<&Path>) -> (PathBuf, Option<PathBuf>) {
    if let Some(path) = said(option) {
        return (path, None);
    }
    let Some(path) = of_workspace() else {
        return (of_user().unwrap_or_else(|| Path::new("target").join(NAME)), None);
    };
    (path, of_user())
}

/// The error if no kernel is served.
#[derive(Debug, thiserror::Error)]
#[error("{tried}; run `bareflow serve` first, or say where it is by `--socket` or {VARIABLE}")]
pub struct NoKernel {
    tried: String,
}

/// Returns the paths at which a kernel may be served, the likeliest first.
#[must_use]
pub fn candidates(option: Option<&Path>) -> Vec<PathBuf> {
    match said(option) {
        Some(path) => vec![path],
        None => [of_workspace(), of_user()].into_iter().flatten().collect(),
    }
}

/// Connects to the kernel that is served.
///
/// # Errors
/// When there is none; the error names all paths that were tried.
pub fn connect(option: Option<&Path>) -> Result<(PathBuf, UnixStream), NoKernel> {
    let mut tried = Vec::new();
    for path in candidates(option) {
        match UnixStream::connect(&path) {
            Ok(stream) => return Ok((path, stream)),
            Err(error) => tried.push(format!("no kernel at {}: {error}", path.display())),
        }
    }
    if tried.is_empty() {
        tried.push("no kernel: no workspace is here, and no XDG_RUNTIME_DIR or HOME is set".to_owned());
    }
    Err(NoKernel { tried: tried.join(", ") })
}

/// A link to a socket. It is removed when this is dropped.
#[derive(Debug)]
pub struct SocketLink {
    at: PathBuf,
    to: PathBuf,
}

impl SocketLink {
    /// Makes a link at `at`, unless something there is in use. Without a link, the kernel is only found in its
    /// workspace.
    #[must_use]
    pub fn publish(at: &Path, to: &Path) -> Option<SocketLink> {
        let to = std::path::absolute(to).ok()?;
        if let Ok(there) = fs::symlink_metadata(at) {
            let may_go = there.file_type().is_symlink() || there.file_type().is_socket();
            if !may_go || UnixStream::connect(at).is_ok() {
                return None;
            }
            fs::remove_file(at).ok()?;
        }
        fs::create_dir_all(at.parent()?).ok()?;
        symlink(&to, at).ok()?;
        Some(SocketLink { at: at.to_owned(), to })
    }
}

impl Drop for SocketLink {
    fn drop(&mut self) {
        // Another kernel's link may be there by now.
        if fs::read_link(&self.at).is_ok_and(|to| to == self.to) {
            let _ = fs::remove_file(&self.at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_link_takes_the_place_of_what_nobody_uses_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (at, to) = (folder.path().join("run/s"), folder.path().join("s"));
        let listener = UnixListener::bind(&to).unwrap();
        let link = SocketLink::publish(&at, &to).unwrap();
        assert!(UnixStream::connect(&at).is_ok());
        assert!(SocketLink::publish(&at, &folder.path().join("other")).is_none(), "a kernel is found there");
        drop(listener);
        let newer = SocketLink::publish(&at, &folder.path().join("other")).unwrap();
        drop(link);
        assert!(fs::symlink_metadata(&at).is_ok(), "another one's stays");
        drop(newer);
        assert!(fs::symlink_metadata(&at).is_err());
        fs::write(&at, "kept").unwrap();
        assert!(SocketLink::publish(&at, &to).is_none());
        assert_eq!(fs::read(&at).unwrap(), b"kept");
    }
}
