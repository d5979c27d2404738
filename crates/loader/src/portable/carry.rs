//! The carry: the instance of a module goes on in the image of another one that was made of the same WebAssembly.

use bareflow_abi::Reason;
use bareflow_abi::carry::{AREA_BYTES, AREA_ELEMENTS, AREA_MEMORY, CARRY_ON_CALL, Carry, CarryArea};
use bareflow_abi::layout::DATA_OFFSET;
use bareflow_abi::memory::{CANNOT_GROW, MEMORY_PAGE_SIZE};

use crate::error::LoadError;
use crate::manager::ModuleManager;
use crate::module::lifecycle::ModuleState;
use crate::module::{Module, ModuleId};
use crate::platform::Platform;

/// A place that can't be reached in an image, though a blob says so.
const UNREACHABLE: LoadError = LoadError::BadInstance { what: "an area of it can't be reached" };

impl<P: Platform> ModuleManager<P> {
    /// Carries the instance of the module `from` over to `new`, which was not called yet. Returns whether it did: both were
    /// made of the same WebAssembly, and `from` did not fault.
    ///
    /// # Errors
    /// A call of `from` is running, it does not hand its instance over, or the instance is not what both blobs say.
    pub(crate) fn carry(&self, from: ModuleId, new: &Module<P>) -> Result<bool, LoadError> {
        let Some(old) = self.registry.get(from) else { return Ok(false) };
        let same = match (old.metadata.provenance(), new.metadata.provenance()) {
            (Some(old), Some(new)) => old.source_digest == new.source_digest,
            _ => false,
        };
        let (Some(before), Some(after)) = (carry_of(&old), carry_of(new)) else { return Ok(false) };
        if !same || old.lifecycle.state() == ModuleState::Stopped {
            return Ok(false);
        }
        if !before.fits(&after) {
            return Err(LoadError::BadInstance { what: "the two blobs differ in its areas" });
        }
        if old.lifecycle.state() == ModuleState::Running {
            return Err(LoadError::StateBusy);
        }
        let is_called = before.header.flags & CARRY_ON_CALL != 0;
        drop(old);
        if is_called {
            self.hand_over(from, Reason::Carry, &mut [])?;
        }
        let old = self.registry.get(from).ok_or(LoadError::StateBusy)?;
        for (from, to) in carry_of(&old).iter().flat_map(Carry::areas).zip(after.areas()) {
            self.carry_area((&old, from), (new, to))?;
        }
        Ok(true)
    }

    /// Copies an area.
    fn carry_area(&self, (old, from): Side<'_, P>, (new, to): Side<'_, P>) -> Result<(), LoadError> {
        let (source, target) = (data_of(old) + u64::from(from.offset), data_of(new) + u64::from(to.offset));
        match from.kind {
            AREA_ELEMENTS => self.copy(old, source, new, target, from.bytes.into(), |bytes| {
                let (elements, _) = bytes.as_chunks();
                elements.iter().all(|element| u32::from_le_bytes(*element) <= to.limit)
            }),
            AREA_MEMORY => {
                let (start, length) = (self.word(old, source)?, self.word(old, source + 8)?);
                self.set_memory(new, target, length)?;
                self.copy(old, start, new, self.word(new, target)?, length, |_| true)
            }
            AREA_BYTES.. => self.copy(old, source, new, target, from.bytes.into(), |_| true),
        }
    }

    /// Gives the memory whose words lie at `words` its length: a linear memory grows, and one in the data is there already.
    fn set_memory(&self, new: &Module<P>, words: u64, length: u64) -> Result<(), LoadError> {
        if new.placement.budget.memory_bytes > 0 {
            return self.grow_to(new, words, length);
        }
        let (start, before) = (self.word(new, words)?, self.word(new, words + 8)?);
        self.clear(new, start.wrapping_add(length), before.saturating_sub(length))?;
        let mut bytes = length.to_le_bytes().into_iter();
        let mut set = |piece: &mut [u8]| piece.iter_mut().zip(&mut bytes).for_each(|(target, byte)| *target = byte);
        self.platform.reach(&new.placed.image, words + 8, 8, &mut set).then_some(()).ok_or(UNREACHABLE)
    }

    /// Makes a linear memory grow to a length.
    fn grow_to(&self, new: &Module<P>, words: u64, length: u64) -> Result<(), LoadError> {
        let Some(more) = length.checked_sub(self.word(new, words + 8)?) else {
            return Err(LoadError::BadInstance { what: "its memory is smaller than the one that it would go on in" });
        };
        if !more.is_multiple_of(MEMORY_PAGE_SIZE) {
            return Err(LoadError::BadInstance { what: "its memory is not of whole pages" });
        }
        let before = self.platform.grow_memory(&new.placed.image, more / MEMORY_PAGE_SIZE);
        if before == CANNOT_GROW { Err(LoadError::NoMemoryForState) } else { Ok(()) }
    }

    /// Clears bytes of a memory that had grown beyond its length: it may grow there once more, and finds zeros.
    fn clear(&self, new: &Module<P>, address: u64, length: u64) -> Result<(), LoadError> {
        let clear = |bytes: &mut [u8]| bytes.fill(0);
        let done = length == 0 || self.platform.reach(&new.placed.image, address, length, &mut { clear });
        done.then_some(()).ok_or(UNREACHABLE)
    }

    /// Copies bytes from one image to another, if `is_right` says so of each piece.
    fn copy(
        &self,
        old: &Module<P>,
        source: u64,
        new: &Module<P>,
        target: u64,
        length: u64,
        is_right: impl Fn(&[u8]) -> bool,
    ) -> Result<(), LoadError> {
        let (mut at, mut right, mut written) = (target, true, true);
        let read = self.platform.reach(&old.placed.image, source, length, &mut |from| {
            right &= is_right(from);
            let mut rest = &*from;
            written &= right
                && self.platform.reach(&new.placed.image, at, from.len() as u64, &mut |into| {
                    let (now, later) = rest.split_at(into.len().min(rest.len()));
                    into.get_mut(..now.len()).into_iter().for_each(|into| into.copy_from_slice(now));
                    rest = later;
                });
            at = at.wrapping_add(from.len() as u64);
        });
        if !right {
            return Err(LoadError::BadInstance { what: "an element of a table names no function" });
        }
        (read & written).then_some(()).ok_or(UNREACHABLE)
    }

    /// Reads a word of an image.
    fn word(&self, module: &Module<P>, address: u64) -> Result<u64, LoadError> {
        let mut word = [0; 8];
        let mut rest = word.iter_mut();
        let mut get = |piece: &mut [u8]| piece.iter().zip(rest.by_ref()).for_each(|(byte, target)| *target = *byte);
        let is_read = self.platform.reach(&module.placed.image, address, 8, &mut get);
        is_read.then_some(u64::from_le_bytes(word)).ok_or(UNREACHABLE)
    }
}

/// A module, and one of its areas.
type Side<'module, P> = (&'module Module<P>, CarryArea);

/// Returns the areas of a module, if it has any.
fn carry_of<P: Platform>(module: &Module<P>) -> Option<Carry<'_>> {
    // They were checked against the size of the data when the module was loaded.
    Carry::parse(module.metadata.carry(), u64::MAX).ok()
}

/// Returns the address of a module's data, as the module sees it.
const fn data_of<P: Platform>(module: &Module<P>) -> u64 {
    module.placed.entry.wrapping_sub(module.entry as u64).wrapping_add(DATA_OFFSET)
}
