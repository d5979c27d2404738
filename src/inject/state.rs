//! A campaign's progress: the pieces that are done, and their outcomes.
//!
//! The file is replaced as a whole after each piece, so an interrupted campaign continues from there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, ensure};
use serde::{Deserialize, Serialize};

use super::tally::Tally;
use crate::say;

/// The saved state of a campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignState {
    /// A checksum of kernel and blobs. With others, the pieces are meaningless.
    pub fingerprint: u32,
    /// The campaign's seed.
    pub seed: u64,
    /// `kernel` or `user`.
    pub domain: String,
    /// The finished pieces, by their first injection, with their lengths and tallies.
    pub pieces: BTreeMap<u64, (u64, Tally)>,
}

impl CampaignState {
    /// Loads the campaign's state from `path`. If the file is missing or belongs to another campaign, returns an empty
    /// state.
    ///
    /// # Errors
    /// When `path` is something that a file can't be put in the place of, such as a device.
    pub fn load(path: &Path, fingerprint: u32, seed: u64, domain: &str) -> Result<CampaignState> {
        ensure!(
            !path.exists() || path.is_file(),
            "{} is no regular file, expected one for the progress; name another by `--state`",
            path.display()
        );
        let fresh = CampaignState { fingerprint, seed, domain: domain.to_owned(), pieces: BTreeMap::new() };
        let Ok(text) = fs::read_to_string(path) else { return Ok(fresh) };
        match serde_json::from_str::<CampaignState>(&text) {
            Ok(state)
                if (state.fingerprint, state.seed, state.domain.as_str()) == (fingerprint, seed, domain)
                    && state.is_possible() =>
            {
                Ok(state)
            }
            _ => {
                say!("{} is of another campaign or kernel; this one begins anew", path.display());
                Ok(fresh)
            }
        }
    }

    /// Returns whether each piece has as many injections as it says, and none overlap.
    fn is_possible(&self) -> bool {
        let mut end = 0;
        self.pieces.iter().all(|(first, (length, tally))| {
            let is_next = *first >= end && tally.injected == *length;
            first.checked_add(*length).filter(|_| is_next).is_some_and(|next| {
                end = next;
                true
            })
        })
    }

    /// Writes the state to `path`, by replacing the file, so that there is always a complete one.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let fresh = PathBuf::from(format!("{}.new", path.display()));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let written = fs::write(&fresh, serde_json::to_string(self)?).and_then(|()| fs::rename(&fresh, path));
        written.map_err(|error| anyhow!("can't keep the progress in {}: {error}", path.display()))
    }

    /// Returns the combined tally of the finished pieces among the first `count` injections.
    pub fn tally(&self, count: u64) -> Tally {
        let mut all = Tally::default();
        for (_, (_, tally)) in self.pieces.iter().filter(|(first, (length, _))| *first + length <= count) {
            all.add(tally);
        }
        all
    }

    /// Returns the unfinished pieces of the first `count` injections: the first injection and the length of each.
    pub fn missing(&self, count: u64, length: u64) -> Vec<(u64, u64)> {
        let starts = (0..count).step_by(usize::try_from(length).unwrap_or(usize::MAX));
        let pieces = starts.map(|first| (first, length.min(count - first)));
        pieces.filter(|(first, length)| self.pieces.get(first).is_none_or(|(done, _)| done != length)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/state.json");
        let mut state = CampaignState::load(&path, 7, 1, "user").unwrap();
        state.pieces.insert(0, (10, Tally { injected: 10, ..Tally::default() }));
        state.save(&path).unwrap();
        assert_eq!(CampaignState::load(&path, 7, 1, "user").unwrap(), state);
        assert_eq!(CampaignState::load(&path, 8, 1, "user").unwrap().pieces.len(), 0);
        assert_eq!(state.missing(25, 10), [(10, 10), (20, 5)]);
        assert_eq!((state.tally(25).injected, state.tally(5).injected), (10, 0));
    }

    #[test]
    fn rejects_what_can_not_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        let tally = |injected| Tally { injected, ..Tally::default() };
        for pieces in
            [vec![(0, (10, tally(9)))], vec![(u64::MAX, (1, tally(1)))], vec![(0, (5, tally(5))), (4, (1, tally(1)))]]
        {
            let state = CampaignState {
                fingerprint: 7,
                seed: 1,
                domain: "user".to_owned(),
                pieces: pieces.into_iter().collect(),
            };
            state.save(&path).unwrap();
            assert!(CampaignState::load(&path, 7, 1, "user").unwrap().pieces.is_empty(), "{state:?}");
        }
    }

    #[test]
    fn rejects_what_no_file_may_replace() {
        let error = CampaignState::load(Path::new("/dev/null"), 7, 1, "user").unwrap_err().to_string();
        assert!(error.contains("/dev/null is no regular file"), "{error}");
    }
}
