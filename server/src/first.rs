//! Loads at the start. What misses another module waits until that is there.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_loader::{LoadError, Platform};
use bareflow_protocol::control::Wish;
use bareflow_suite::order;

use crate::library::load_of;
use crate::{Server, Surroundings};

/// A blob of the start, and what it misses.
pub(crate) struct Waiting<'blobs> {
    label: String,
    blob: Cow<'blobs, [u8]>,
    /// Whether it may take the place of another one: what is on the disk stands for what is in the image.
    replaces: bool,
    error: Option<LoadError>,
}

impl<'blobs, P: Platform, S: Surroundings> Server<'blobs, P, S> {
    /// Loads a blob at the start, and says so on the console.
    pub fn load_first(&self, label: &str, blob: &'blobs [u8]) {
        self.begin(label, Cow::Borrowed(blob), false);
    }

    /// Loads a file from the disk at the start, and says so on the console.
    pub fn load_file(&self, path: &str) {
        match self.around.read(path) {
            Ok(blob) => self.begin(path, Cow::Owned(blob), true),
            Err(error) => self.say_refused(path, &error),
        }
    }

    /// At the end of the start: refuses what still misses another module.
    pub fn refuse_waiting(&self) {
        let waiting = self.waiting.take();
        let blobs: Vec<&[u8]> = waiting.iter().map(|one| &*one.blob).collect();
        for (place, one) in waiting.iter().enumerate() {
            let error = order::circle(&blobs, place).or_else(|| one.error.map(|error| error.to_string()));
            self.say_refused(&one.label, &error.unwrap_or_default());
        }
    }

    fn begin(&self, label: &str, blob: Cow<'blobs, [u8]>, replaces: bool) {
        let mut loaded = self.try_first(Waiting { label: label.to_string(), blob, replaces, error: None });
        // One that came may be what others wait for, and those what others wait for.
        while loaded {
            loaded = false;
            for one in self.waiting.take() {
                loaded |= self.try_first(one);
            }
        }
    }

    /// Says whether the module is there now.
    fn try_first(&self, mut one: Waiting<'blobs>) -> bool {
        let options = match self.options(&one.blob, &Wish::default()) {
            Ok(options) if one.replaces => options,
            _ => self.defaults,
        };
        let done = if one.replaces {
            self.manager.replace(&one.blob, &options).map(|reloaded| {
                // What it replaced is said on the console; nobody waits for the answer.
                let _ = self.replaced(reloaded, Some(one.blob.to_vec()), None);
                None
            })
        } else {
            self.manager.load_with(&one.blob, &options).map(Some)
        };
        match done {
            Ok(None) => return true,
            Ok(Some(id)) => {
                if let Some(profile) = self.manager.stats(id) {
                    self.library.borrow_mut().keep(load_of(&profile), one.blob);
                }
                self.say_loaded(id);
                return true;
            }
            Err(error @ LoadError::MissingDependency { .. }) => {
                one.error = Some(error);
                self.waiting.borrow_mut().push(one);
            }
            Err(error) => self.say_refused(&one.label, &order::refusal(&self.manager, &one.blob, &error)),
        }
        false
    }
}
