//! Detection of saved files.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};
use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};

/// The time without events after which files count as saved: an editor writes, renames and removes in one go.
const QUIET: Duration = Duration::from_millis(5);

/// The longest wait for a time without events.
const UNREST: Duration = Duration::from_millis(200);

/// The changes of files below a folder.
#[derive(Debug)]
pub(super) struct Changes {
    events: Receiver<notify::Result<Event>>,
    /// The folder that builds write to, which may lie below a watched one.
    built: PathBuf,
    /// Watches until it is dropped.
    _watcher: RecommendedWatcher,
}

/// A save of one or more files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Saved {
    /// Whether the crate's manifest was saved.
    pub manifest: bool,
}

impl Changes {
    /// Watches all files below `folder`, and below the folders `beside` that the crate depends on, but not those below
    /// `built`, which a build writes.
    ///
    /// A folder that contains `folder` is left out, since the files that a build writes there would start the next
    /// build.
    pub(super) fn below(folder: &Path, beside: &[PathBuf], built: &Path) -> Result<Changes> {
        let (sender, events) = channel();
        let failed = |folder: &Path, error| anyhow!("can't watch {}: {error}", folder.display());
        let mut watcher = recommended_watcher(sender).map_err(|error| failed(folder, error))?;
        let others = beside.iter().map(PathBuf::as_path).filter(|other| !folder.starts_with(other));
        for each in std::iter::once(folder).chain(others.filter(|other| !other.starts_with(folder))) {
            watcher.watch(each, RecursiveMode::Recursive).map_err(|error| failed(each, error))?;
        }
        Ok(Changes { events, built: built.to_owned(), _watcher: watcher })
    }

    /// Returns the next save; `None` if there is none for `patience`.
    pub(super) fn next(&self, patience: Duration) -> Result<Option<Saved>> {
        let start = Instant::now();
        let mut saved: Option<Saved> = None;
        let mut quiet_from = start;
        loop {
            let wait = match saved {
                Some(_) if quiet_from.elapsed() > UNREST => return Ok(saved),
                Some(_) => QUIET,
                None => match patience.checked_sub(start.elapsed()) {
                    Some(left) => left,
                    None => return Ok(None),
                },
            };
            match self.events.recv_timeout(wait) {
                Ok(Ok(event)) if is_change(&event) && !event.paths.iter().all(|path| self.is_none_of_ours(path)) => {
                    if saved.is_none() {
                        quiet_from = Instant::now();
                    }
                    saved.get_or_insert_default().manifest |= event.paths.iter().any(|path| is_manifest(path));
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => bail!("can't watch any more: {error}"),
                Err(RecvTimeoutError::Timeout) => return Ok(saved),
                Err(RecvTimeoutError::Disconnected) => bail!("the watch ended by itself; start it again"),
            }
        }
    }
}

impl Changes {
    /// Whether a file is no part of a crate: an editor's own, or one that a build wrote.
    fn is_none_of_ours(&self, path: &Path) -> bool {
        is_temporary(path) || path.starts_with(&self.built)
    }
}

/// Whether an event is more than a read access.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn is_manifest(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "Cargo.toml")
}

/// Whether a file is an editor's own: a swap file, a lock, a copy, or a test whether files can be created.
fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (hidden, ending) = (name.starts_with('.'), name.rsplit('.').next().unwrap_or_default());
    let is_swap = hidden && ["swp", "swo", "swn", "swx", "swap", "tmp"].contains(&ending);
    let is_lock = name.starts_with(".#") || name.starts_with('#') && name.ends_with('#');
    is_swap || is_lock || name.starts_with(".goutputstream-") || name.ends_with('~') || name == "4913"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn one_save_is_noticed_once_however_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("src")).unwrap();
        let file = folder.path().join("src/lib.rs");
        fs::write(&file, "old").unwrap();
        let changes = Changes::below(folder.path(), &[], Path::new("/built")).unwrap();
        assert_eq!(changes.next(Duration::from_millis(20)).unwrap(), None);
        fs::write(&file, "new").unwrap();
        assert_eq!(changes.next(LONG).unwrap(), Some(Saved { manifest: false }));
        fs::write(folder.path().join("src/.swap"), "newer").unwrap();
        fs::rename(folder.path().join("src/.swap"), &file).unwrap();
        assert_eq!(changes.next(LONG).unwrap(), Some(Saved { manifest: false }));
        fs::read(&file).unwrap();
        assert_eq!(changes.next(Duration::from_millis(50)).unwrap(), None);
        fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        assert_eq!(changes.next(LONG).unwrap(), Some(Saved { manifest: true }));
    }

    #[test]
    fn notices_saves_in_what_the_crate_depends_on() {
        let place = tempfile::tempdir().unwrap();
        let (own, shared) = (place.path().join("own"), place.path().join("shared"));
        [&own, &shared].iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
        let changes = Changes::below(&own, &[shared.clone(), place.path().to_owned()], Path::new("/built")).unwrap();
        std::fs::write(place.path().join("output"), "").unwrap();
        assert_eq!(changes.next(Duration::from_millis(50)).unwrap(), None);
        std::fs::write(shared.join("lib.rs"), "").unwrap();
        assert_eq!(changes.next(Duration::from_secs(10)).unwrap(), Some(Saved { manifest: false }));
    }

    #[test]
    fn what_a_build_writes_is_no_save() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let changes = Changes::below(folder.path(), &[], &target).unwrap();
        fs::create_dir_all(target.join("modules")).unwrap();
        fs::write(target.join("modules/a.mod"), "").unwrap();
        assert_eq!(changes.next(Duration::from_millis(50)).unwrap(), None);
        fs::write(folder.path().join("lib.rs"), "").unwrap();
        assert_eq!(changes.next(LONG).unwrap(), Some(Saved { manifest: false }));
    }

    #[test]
    fn what_editors_write_for_themselves_is_no_save() {
        for name in [".lib.rs.swp", ".lib.rs.swx", ".#lib.rs", "#lib.rs#", "lib.rs~", "4913", ".goutputstream-1A2B"] {
            assert!(is_temporary(Path::new("src").join(name).as_path()), "{name}");
        }
        for name in ["lib.rs", "Cargo.toml", ".cargo", "table.tmp", "a#b"] {
            assert!(!is_temporary(Path::new("src").join(name).as_path()), "{name}");
        }
        let folder = tempfile::tempdir().unwrap();
        let changes = Changes::below(folder.path(), &[], Path::new("/built")).unwrap();
        fs::write(folder.path().join(".lib.rs.swp"), "x").unwrap();
        std::os::unix::fs::symlink("nobody@nowhere", folder.path().join(".#lib.rs")).unwrap();
        assert_eq!(changes.next(Duration::from_millis(50)).unwrap(), None);
    }
}
