//! The socket on which clients find the kernel.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

/// A listening socket. Its file is removed when this is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// The device and inode number of the file that was made.
    file: Option<(u64, u64)>,
}

/// Returns the device and inode number of the file at `path`.
fn file_at(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

impl Socket {
    /// Listens at `path`. A socket on which no one listens any more is replaced.
    ///
    /// # Errors
    /// When someone listens there, something else is there, or it can't be made.
    pub fn bind(path: &Path) -> Result<Socket> {
        let shown = path.display();
        if let Ok(there) = fs::symlink_metadata(path) {
            // A link to nothing or to a socket was left by a kernel that was served elsewhere.
            let is_link = there.file_type().is_symlink();
            let leads_to_other = is_link && fs::metadata(path).is_ok_and(|found| !found.file_type().is_socket());
            if leads_to_other || !is_link && !there.file_type().is_socket() {
                bail!("{shown} is no socket, expected one or nothing; name another by `--socket`");
            }
            match UnixStream::connect(path) {
                Ok(_) => {
                    let remedy = "end it by `bareflow shutdown`, or name another socket by `--socket`";
                    bail!("a kernel is served at {shown} already; {remedy}");
                }
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => {
                    fs::remove_file(path).map_err(|error| anyhow!("can't remove the old socket {shown}: {error}"))?;
                }
                Err(error) => bail!("can't tell who listens at {shown}: {error}"),
            }
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|error| anyhow!("can't make {}: {error}", folder.display()))?;
        }
        let failed = |error| anyhow!("can't listen at {shown}: {error}; name another socket by `--socket`");
        let listener = UnixListener::bind(path).map_err(failed)?;
        Ok(Socket { listener, path: path.to_owned(), file: file_at(path) })
    }

    /// Returns the listener, which accepts clients.
    #[must_use]
    pub fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The file may have been removed, and another kernel's may be there by now.
        if self.file.is_some() && file_at(&self.path) == self.file {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_a_stale_socket_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/s");
        let living = Socket::bind(&path).unwrap();
        let error = Socket::bind(&path).unwrap_err().to_string();
        assert!(error.contains("is served at") && error.contains("deep/s"), "{error}");
        drop(living);
        assert!(!path.exists());
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a listener alone leaves its socket behind");
        drop(Socket::bind(&path).unwrap());
        fs::write(&path, "text").unwrap();
        assert!(Socket::bind(&path).unwrap_err().to_string().contains("is no socket"));
        assert_eq!(fs::read(&path).unwrap(), b"text");
    }

    #[test]
    fn leaves_the_socket_of_another_one_that_came_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = Socket::bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = Socket::bind(&path).unwrap();
        drop(first);
        assert!(UnixStream::connect(&path).is_ok());
        drop(second);
        assert!(!path.exists());
    }
}
