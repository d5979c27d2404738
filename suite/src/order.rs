//! Loads that need each other: which come first, and why some never can.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bareflow_loader::depends::dependencies_of;
use bareflow_loader::{LoadError, ModuleManager, Name, Platform, RawModule};

use crate::fallible::Reason;
use crate::reason;

/// Why a blob is refused, with the whole way on which it would come to call itself if it is that.
pub fn refusal<P: Platform>(manager: &ModuleManager<P>, blob: &[u8], error: &LoadError) -> Reason {
    let is_cycle = matches!(error, LoadError::DependencyCycle { .. });
    match is_cycle.then(|| manager.dependency_cycle(blob)).flatten() {
        Some(chain) => reason!("{error} ({chain})"),
        None => reason!("{error}"),
    }
}

/// Why the blob at `place` is refused, if it needs itself by way of others that can't be loaded either.
pub fn circle(blobs: &[&[u8]], place: usize) -> Option<String> {
    let modules: Vec<_> = blobs.iter().map(|blob| RawModule::parse(blob).ok()).collect();
    let name = |place: usize| Name::from_field(modules.get(place)?.as_ref()?.header().name);
    // Which module can be reached, and by way of which.
    let mut reached = alloc::vec![None; blobs.len()];
    let mut next = alloc::vec![place];
    let mut done = 0;
    while let Some(&by) = next.get(done) {
        done += 1;
        let Some(module) = modules.get(by).and_then(Option::as_ref) else { continue };
        for needed in dependencies_of(module) {
            for (index, known) in reached.iter_mut().enumerate().filter(|(_, known)| known.is_none()) {
                let version = modules.get(index).and_then(Option::as_ref).map(|other| {
                    [other.header().version_major, other.header().version_minor, other.header().version_patch]
                });
                let same = name(index).is_some_and(|name| name.as_str() == needed.name);
                if same && version.is_some_and(|version| needed.admits(version)) {
                    *known = Some(by);
                    next.push(index);
                }
            }
        }
    }
    // Back from the module to itself.
    let mut way = alloc::vec![name(place)?];
    let mut at = (*reached.get(place)?)?;
    while at != place {
        way.push(name(at)?);
        at = (*reached.get(at)?)?;
    }
    way.push(name(place)?);
    way.reverse();
    let error = LoadError::DependencyCycle { name: *way.get(1)? };
    let way: Vec<_> = way.iter().map(Name::as_str).collect();
    Some(format!("{error} ({})", way.join(" -> ")))
}
