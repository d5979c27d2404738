//! Loads with dependencies: their order, and the explanation of refusals.

use alloc::vec::Vec;
use core::fmt;

use crate::console::{Console, show_fault};
use bareflow_abi::Header;
use bareflow_loader::depends::dependencies_of;
use bareflow_loader::{LoadError, LoadOptions, ModuleManager, Name, Platform, RawModule};

use crate::error_text;
use crate::fallible::{ErrorText, NoMemory, collect, push};

/// Returns the reason for which the load of a blob with these `options` was refused.
///
/// For a cycle, it includes the modules on it; for a fault, the diagnosis, which is shown on the console as well.
pub fn refusal<P: Platform>(
    manager: &ModuleManager<P>,
    blob: &[u8],
    options: &LoadOptions,
    error: &LoadError,
    console: &mut impl Console,
) -> ErrorText {
    if let Some(fault) = manager.load_fault(blob, options, error) {
        show_fault(console, fault.text());
        return error_text!("{fault}");
    }
    let is_cycle = matches!(error, LoadError::DependencyCycle { .. });
    match is_cycle.then(|| manager.dependency_cycle(blob)).flatten() {
        Some(cycle) => error_text!("{error} ({cycle})"),
        None => error_text!("{error}"),
    }
}

/// The dependencies among some blobs.
pub struct Needs<'blobs> {
    modules: Vec<Option<RawModule<'blobs>>>,
    /// The edges of the graph: the index of a blob and that of one that it may call, in ascending order.
    edges: Vec<(usize, usize)>,
}

impl<'blobs> Needs<'blobs> {
    /// Determines the dependencies among `blobs`.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn of(blobs: impl Iterator<Item = &'blobs [u8]>) -> Result<Needs<'blobs>, NoMemory> {
        let modules = collect(blobs.map(|blob| Ok::<_, NoMemory>(RawModule::parse(blob).ok())))?;
        let mut needs = Needs { modules, edges: Vec::new() };
        let named = collect((0..needs.modules.len()).map(|node| Ok::<_, NoMemory>(needs.name(node))))?;
        for (by, module) in needs.modules.iter().enumerate() {
            for needed in module.iter().flat_map(dependencies_of) {
                for (node, (module, name)) in needs.modules.iter().zip(&named).enumerate() {
                    let (Some(module), Some(name)) = (module, name) else { continue };
                    let Header { version_major, version_minor, version_patch, .. } = module.header();
                    let version = [version_major, version_minor, version_patch];
                    if name.as_str() == needed.name && needed.admits(version) {
                        push(&mut needs.edges, (by, node))?;
                    }
                }
            }
        }
        Ok(needs)
    }

    fn name(&self, node: usize) -> Option<Name> {
        Name::from_field(self.modules.get(node)?.as_ref()?.header().name)
    }

    /// Iterates over the nodes that the module at `node` may call.
    fn needed_by(&self, node: usize) -> impl Iterator<Item = usize> {
        let start = self.edges.partition_point(|(by, _)| *by < node);
        let behind = self.edges.get(start..).unwrap_or_default();
        behind.iter().take_while(move |(by, _)| *by == node).map(|(_, needed)| *needed)
    }

    /// Returns the error for the blob at `node` if it is on a cycle of dependencies.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn cycle(&self, node: usize) -> Result<Option<ErrorText>, NoMemory> {
        // For each node that is reached, the node from which it was reached.
        let mut reached = collect(self.modules.iter().map(|_| Ok::<Option<usize>, NoMemory>(None)))?;
        let mut next = Vec::new();
        push(&mut next, node)?;
        let mut done = 0;
        while let Some(&by) = next.get(done) {
            done += 1;
            for index in self.needed_by(by) {
                if let Some(known @ None) = reached.get_mut(index) {
                    *known = Some(by);
                    push(&mut next, index)?;
                }
            }
        }
        // The path from the module back to itself, in reverse.
        let mut path = Vec::new();
        let mut at = Some(node);
        while let Some(index) = at {
            let Some(name) = self.name(index) else { return Ok(None) };
            push(&mut path, name)?;
            if index == node && path.len() > 1 {
                break;
            }
            at = reached.get(index).copied().flatten();
        }
        path.reverse();
        Ok(match (at, path.get(1)) {
            (Some(_), Some(&name)) => {
                Some(error_text!("{} ({})", LoadError::DependencyCycle { name }, CyclePath(&path)))
            }
            _ => None,
        })
    }
}

/// A list of names, shown with arrows between them.
struct CyclePath<'names>(&'names [Name]);

impl fmt::Display for CyclePath<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(node, name)| {
            let arrow = if node == 0 { "" } else { " -> " };
            write!(out, "{arrow}{name}")
        })
    }
}
