//! Loads that need each other: which come first, and why some never can.

use alloc::vec::Vec;
use core::fmt;

use bareflow_loader::depends::dependencies_of;
use bareflow_loader::report::Console;
use bareflow_loader::{LoadError, LoadOptions, ModuleManager, Name, Platform, RawModule};

use crate::fallible::{NoMemory, Reason, collect, push};
use crate::reason;

/// Why a blob is refused that was to be loaded with these `options`: with the whole way on which it would come to call
/// itself if it is that, and with what is known of the fault if it is one. That is shown on the console as well.
pub fn refusal<P: Platform>(
    manager: &ModuleManager<P>,
    blob: &[u8],
    options: &LoadOptions,
    error: &LoadError,
    console: &mut impl Console,
) -> Reason {
    if let Some(fault) = manager.load_fault(blob, options, error) {
        fault.show(console);
        return reason!("{fault}");
    }
    let is_cycle = matches!(error, LoadError::DependencyCycle { .. });
    match is_cycle.then(|| manager.dependency_cycle(blob)).flatten() {
        Some(chain) => reason!("{error} ({chain})"),
        None => reason!("{error}"),
    }
}

/// Why the blob at `place` is refused, if it needs itself by way of others that can't be loaded either.
///
/// # Errors
/// [`NoMemory`].
pub fn circle(blobs: &[&[u8]], place: usize) -> Result<Option<Reason>, NoMemory> {
    let modules = collect(blobs.iter().map(|blob| Ok::<_, NoMemory>(RawModule::parse(blob).ok())))?;
    let name = |place: usize| Name::from_field(modules.get(place)?.as_ref()?.header().name);
    // Which module can be reached, and by way of which.
    let mut reached = collect(blobs.iter().map(|_| Ok::<Option<usize>, NoMemory>(None)))?;
    let mut next = Vec::new();
    push(&mut next, place)?;
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
                    push(&mut next, index)?;
                }
            }
        }
    }
    // Back from the module to itself.
    let mut way = Vec::new();
    let mut at = Some(place);
    while let Some(index) = at {
        let Some(name) = name(index) else { return Ok(None) };
        push(&mut way, name)?;
        if index == place && way.len() > 1 {
            break;
        }
        at = reached.get(index).copied().flatten();
    }
    way.reverse();
    Ok(match (at, way.get(1)) {
        (Some(_), Some(&name)) => Some(reason!("{} ({})", LoadError::DependencyCycle { name }, Way(&way))),
        _ => None,
    })
}

/// Names, from one to the next.
struct Way<'names>(&'names [Name]);

impl fmt::Display for Way<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(place, name)| {
            let arrow = if place == 0 { "" } else { " -> " };
            write!(out, "{arrow}{name}")
        })
    }
}
