//! The time that events steal from the calls that they interrupt: Linux's word for time in which one runs that does not
//! know that it was interrupted.

use crate::module::ModuleId;
use crate::platform::MAX_DEPTH;

/// The time that events took of each running call, until it ends, in cycles. As many modules run as calls nest, and one
/// more is loaded meanwhile.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StolenTime([Option<(ModuleId, u64)>; MAX_DEPTH + 1]);

impl StolenTime {
    /// Adds time to that of a module's call. What there is no place for stays in its reading.
    pub fn add(&mut self, id: ModuleId, cycles: u64) {
        let place = self.0.iter().position(|entry| entry.is_some_and(|(other, _)| other == id));
        let place = place.or_else(|| self.0.iter().position(Option::is_none));
        if let Some(entry) = place.and_then(|place| self.0.get_mut(place)) {
            *entry = Some((id, entry.map_or(0, |(_, before)| before).saturating_add(cycles)));
        }
    }

    /// Takes the time of a module's call.
    pub fn take(&mut self, id: ModuleId) -> u64 {
        let entry = self.0.iter_mut().find(|entry| entry.is_some_and(|(other, _)| other == id));
        entry.and_then(Option::take).map_or(0, |(_, cycles)| cycles)
    }
}
