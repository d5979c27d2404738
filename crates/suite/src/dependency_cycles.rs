//! The dependencies among blobs that are not loaded yet, and the cycles in them.

use alloc::vec::Vec;
use core::fmt;

use bareflow_abi::Header;
use bareflow_loader::depends::dependencies_of;
use bareflow_loader::{LoadError, Name, RawModule};

use crate::error_text;
use crate::fallible::{ErrorText, NoMemory, collect, push};

/// The dependencies among some blobs.
pub struct DependencyGraph<'blobs> {
    modules: Vec<Option<RawModule<'blobs>>>,
    /// The edges of the graph: the index of a blob and that of one that it may call, in ascending order.
    edges: Vec<(usize, usize)>,
}

impl<'blobs> DependencyGraph<'blobs> {
    /// Determines the dependencies among `blobs`.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn of(blobs: impl Iterator<Item = &'blobs [u8]>) -> Result<DependencyGraph<'blobs>, NoMemory> {
        let modules = collect(blobs.map(|blob| Ok::<_, NoMemory>(RawModule::parse(blob).ok())))?;
        let mut graph = DependencyGraph { modules, edges: Vec::new() };
        let named = collect((0..graph.modules.len()).map(|node| Ok::<_, NoMemory>(graph.name(node))))?;
        for (by, module) in graph.modules.iter().enumerate() {
            for needed in module.iter().flat_map(dependencies_of) {
                for (node, (module, name)) in graph.modules.iter().zip(&named).enumerate() {
                    let (Some(module), Some(name)) = (module, name) else { continue };
                    let Header { version_major, version_minor, version_patch, .. } = module.header();
                    let version = [version_major, version_minor, version_patch];
                    if name.as_str() == needed.name && needed.admits(version) {
                        push(&mut graph.edges, (by, node))?;
                    }
                }
            }
        }
        Ok(graph)
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
