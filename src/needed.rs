//! The blobs that a module needs: of the modules that it calls, and of the providers of its imports.

use std::path::PathBuf;

use anyhow::{Error, Result};
use bareflow_abi::interface::bindings::Entries;
use bareflow_builder::discover::around;
use bareflow_builder::{ModuleCrate, build_module};
use bareflow_loader::records::bindings;
use bareflow_loader::{Assignment, Name, RawModule};
use bareflow_suite::archive::Archive;

use crate::{embedded, in_process};

/// A search for what a module needs.
struct Search<'all> {
    /// The modules that may be needed.
    modules: Vec<ModuleCrate>,
    /// The names of those that are looked at for imports that ask for none by name: those that were named along with the
    /// module, and those below `modules/`.
    may_provide: Vec<String>,
    /// The folder of their blobs.
    folder: PathBuf,
    /// The lines that bind imports.
    lines: &'all str,
    /// The names of the modules that were visited.
    seen: Vec<String>,
    /// Their blobs, callees and providers first.
    blobs: Vec<Vec<u8>>,
}

/// Returns the blobs that `module`, of which `blob` was built, needs, callees and providers first: of its workspace, of
/// `others`, or of those embedded in this program. `lines` may bind imports otherwise than their `Cargo.toml` says.
///
/// # Errors
/// When a module that is needed can't be built.
pub(crate) fn needed_by(
    module: &ModuleCrate,
    blob: &[u8],
    others: impl Iterator<Item = ModuleCrate>,
    lines: &str,
) -> Result<Vec<Vec<u8>>> {
    if module.settings.depends.is_empty() && imports_of(blob).next().is_none() {
        return Ok(Vec::new());
    }
    let workspace = around(module)?;
    let mut modules: Vec<_> = others.filter(|other| other.name != module.name).collect();
    let mut may_provide: Vec<_> = modules.iter().map(|other| other.name.clone()).collect();
    let folder = module.root.join("modules");
    for other in workspace.modules.into_iter().filter(|other| other.name != module.name) {
        if !may_provide.contains(&other.name) {
            may_provide.extend(other.manifest.starts_with(&folder).then(|| other.name.clone()));
            modules.push(other);
        }
    }
    let (seen, folder) = (vec![module.name.clone()], workspace.target.join("modules"));
    let mut search = Search { modules, may_provide, folder, lines, seen, blobs: Vec::new() };
    search.visit(module, blob)?;
    for source in Archive::read(embedded::MODULES).map_err(Error::msg)?.blobs {
        let name = source.label.trim_end_matches(".mod");
        let is_there = search.modules.iter().any(|other| other.name == name);
        if !is_there && module.settings.depends.contains_key(name) {
            search.blobs.push(source.bytes.to_vec());
        }
    }
    Ok(search.blobs)
}

impl Search<'_> {
    /// Adds the blobs that `module`, of which `blob` was built, needs and that were not visited yet.
    ///
    /// A module that is not found is no error here; it is reported when the one that needs it is loaded.
    fn visit(&mut self, module: &ModuleCrate, blob: &[u8]) -> Result<()> {
        for index in self.needs(module, blob) {
            let Some(found) = self.modules.get(index).filter(|found| !self.seen.contains(&found.name)).cloned() else {
                continue;
            };
            self.seen.push(found.name.clone());
            let bytes = build_module(&found, &self.folder)?.bytes;
            self.visit(&found, &bytes)?;
            self.blobs.push(bytes);
        }
        Ok(())
    }

    /// Returns the indices of the modules that a module calls, or may be bound to.
    fn needs(&self, module: &ModuleCrate, blob: &[u8]) -> Vec<usize> {
        let which = |is_needed: &dyn Fn(&ModuleCrate) -> bool| {
            let needed = self.modules.iter().enumerate().filter(|(_, other)| is_needed(other));
            needed.map(|(index, _)| index).collect::<Vec<_>>()
        };
        let mut needed = which(&|other| module.settings.depends.contains_key(&other.name));
        for import in imports_of(blob) {
            let is_about =
                |line: &Assignment<'_>| line.binds && line.module == module.name && line.name.as_str() == import.name;
            let line = Assignment::all(self.lines).flatten().find(is_about);
            let wanted = line.and_then(|line| line.value).unwrap_or(import.provider);
            needed.extend(match wanted.split('@').next().unwrap_or_default() {
                "" if in_process::PROVIDED.contains(&import.interface) => Vec::new(),
                // Only a blob tells what its module exports.
                "" => which(&|other| {
                    let built = self.may_provide.contains(&other.name).then(|| build_module(other, &self.folder).ok());
                    built.flatten().is_some_and(|built| exports(&built.bytes, import.interface))
                }),
                name => which(&|other| other.name == name),
            });
        }
        needed
    }
}

/// Returns a module's imports and exports.
fn bindings_of(blob: &[u8]) -> Entries<'_> {
    bindings(RawModule::parse(blob).map_or(&[], |raw| raw.records))
}

fn imports_of(blob: &[u8]) -> impl Iterator<Item = bareflow_abi::interface::bindings::Entry<'_>> {
    bindings_of(blob).imports()
}

fn exports(blob: &[u8], interface: &str) -> bool {
    bindings_of(blob).exports().any(|(_, export)| export.interface == interface)
}

/// Returns the name in a blob's header.
pub(crate) fn name_of(blob: &[u8]) -> String {
    let name = RawModule::parse(blob).ok().and_then(|raw| Name::from_field(raw.header().name));
    name.map_or(String::new(), |name| name.to_string())
}

/// Returns the lines that are about the module `name`, as those of a module `new_name`.
pub(crate) fn lines_for(lines: &str, name: &str, new_name: &str) -> String {
    let own = Assignment::all(lines).flatten().filter(|line| line.module == name);
    own.map(|line| format!("{}\n", line.line.replacen(&format!("{name}."), &format!("{new_name}."), 1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_rewritten_for_copies_of_a_module() {
        let lines = "net.mtu=net.1\nbind net.source=net.\nother.mtu=2\n";
        assert_eq!(lines_for(lines, "net", "tune-1"), "tune-1.mtu=net.1\nbind tune-1.source=net.\n");
        assert_eq!(lines_for(lines, "other", "other"), "other.mtu=2\n");
    }
}
