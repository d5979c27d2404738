//! Loads at the start. What misses another module waits until that is there.

use alloc::borrow::Cow;
use alloc::string::String;

use bareflow_loader::{LoadError, Platform};
use bareflow_suite::fallible::{NO_MEMORY, NoMemory, collect};
use bareflow_suite::{order, text};

use crate::push::Wanted;
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
        // Without memory to look for circles, what is missed is said alone.
        let blobs = collect(waiting.iter().map(|one| Ok::<&[u8], NoMemory>(&one.blob))).unwrap_or_default();
        for (place, one) in waiting.iter().enumerate() {
            match (order::circle(&blobs, place).ok().flatten(), one.error) {
                (Some(circle), _) => self.say_refused(&one.label, &circle),
                (None, Some(error)) => self.say_refused(&one.label, &error),
                (None, None) => {}
            }
        }
    }

    fn begin(&self, label: &str, blob: Cow<'blobs, [u8]>, replaces: bool) {
        let Ok(text) = text!("{label}") else { return self.say_refused(label, &NO_MEMORY) };
        let mut loaded = self.try_first(Waiting { label: text, blob, replaces, error: None });
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
        let options = if one.replaces { self.options(&one.blob, &Wanted::default()) } else { self.defaults };
        let done = if one.replaces {
            // What it replaced is said on the console; nobody waits for the answer.
            self.manager.replace(&one.blob, &options).map(|reloaded| {
                self.tell_replaced(&reloaded);
                reloaded.id
            })
        } else {
            self.manager.load_with(&one.blob, &options)
        };
        match done {
            Ok(id) => {
                self.library.borrow_mut().keep(id, one.blob);
                self.say_loaded(id);
                return true;
            }
            Err(error @ LoadError::MissingDependency { .. }) => {
                one.error = Some(error);
                let mut waiting = self.waiting.borrow_mut();
                if waiting.try_reserve(1).is_ok() {
                    waiting.push(one);
                } else {
                    self.say_refused(&one.label, &error);
                }
            }
            Err(error) => self.say_refused(&one.label, &self.explain_load(&one.blob, &options, &error)),
        }
        false
    }
}
