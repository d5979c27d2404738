//! `interfaces diff`: whether users of one blob can use another one instead.

use std::path::Path;

use anyhow::{Result, anyhow};
use serde::Serialize;

use super::SCHEMA;
use super::exports::Interface;
use super::listing::read;
use super::signature::{Argument, Signature};
use super::types::Type;
use crate::input_files::write_json;
use crate::{Exit, say};

/// The differences that matter to users.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Differences {
    schema: u32,
    /// Whether users of the old one can use the new one.
    compatible: bool,
    /// The reasons for which they can't.
    breaks: Vec<String>,
    /// The functions and interfaces that are new.
    added: Vec<String>,
    /// The interfaces that the new one uses and the old one does not.
    needs: Vec<String>,
}

/// Compares two files.
///
/// # Errors
/// When a file can't be read, or the JSON not written.
pub(crate) fn diff(old: &Path, new: &Path, json: Option<&Path>) -> Result<Exit> {
    let side = |file: &Path| match read(file) {
        Ok((_, _, interfaces)) => Ok(interfaces),
        Err(error) => Err(anyhow!("{}: {error}", file.display())),
    };
    let differences = compare(&side(old)?, &side(new)?);
    differences.show();
    if let Some(path) = json {
        write_json(path, &differences)?;
    }
    Ok(if differences.compatible { Exit::Passed } else { Exit::Failed })
}

impl Differences {
    fn show(&self) {
        for (title, lines) in [("breaks", &self.breaks), ("added", &self.added), ("needs now", &self.needs)] {
            lines.iter().for_each(|line| say!("{title}: {line}"));
        }
        say!(
            "{}",
            if self.compatible {
                "users of the old one can use the new one"
            } else {
                "users of the old one can't use the new one"
            }
        );
    }
}

/// Compares what two modules export, and what they import.
pub(super) fn compare(old: &[Interface], new: &[Interface]) -> Differences {
    let exports = |all: &'_ [Interface]| all.iter().filter(|one| one.import.is_none()).cloned().collect::<Vec<_>>();
    let (old_exports, new_exports) = (exports(old), exports(new));
    let mut found = Differences { schema: SCHEMA, ..Differences::default() };
    for export in &old_exports {
        match new_exports.iter().find(|other| other.name == export.name) {
            None if export.name.is_empty() => {
                found.breaks.extend((0..export.methods.len()).map(|index| format!("{} is gone", name(export, index))));
            }
            None => found.breaks.push(format!("{export} is gone")),
            Some(other) => compare_methods(export, other, &mut found),
        }
    }
    let is_new = |export: &&Interface| old_exports.iter().all(|other| other.name != export.name);
    found.added.extend(new_exports.iter().filter(is_new).map(ToString::to_string));
    let imports = |all: &'_ [Interface]| {
        let imports = all.iter().filter_map(|one| Some(format!("{}: {one}", one.import.as_ref()?)));
        imports.collect::<Vec<_>>()
    };
    let before = imports(old);
    found.needs.extend(imports(new).into_iter().filter(|import| !before.contains(import)));
    found.compatible = found.breaks.is_empty();
    found
}

/// Compares an interface with one of the same name.
fn compare_methods(old: &Interface, new: &Interface, found: &mut Differences) {
    let ((major, minor), (as_major, as_minor)) = (old.version, new.version);
    // The rule by which the loader binds: see `Export::serves`.
    if major != as_major || if major == 0 { minor != as_minor } else { minor > as_minor } {
        let rule = if major == 0 { format!("{major}.{minor}") } else { format!("{major}.{minor} or a later {major}") };
        found.breaks.push(format!("{old} is {as_major}.{as_minor} now, expected {rule}"));
    }
    for (index, method) in old.methods.iter().enumerate() {
        if new.methods.contains(method) {
            continue;
        }
        let name = name(old, index);
        let same = (0..new.methods.len()).find(|&other| new.method_name(other).is_some_and(|other| other == name));
        match same {
            None if new.signatures.is_empty() => {
                let line =
                    format!("{} is gone or changed: the signatures of the new one were stripped", place(old, &name));
                found.breaks.push(line);
            }
            None => found.breaks.push(format!("{} is gone", place(old, &name))),
            Some(other) => found.breaks.extend(
                changes(old.signature(index), new.signature(other))
                    .into_iter()
                    .map(|change| format!("{}: {change}", place(old, &name))),
            ),
        }
    }
    for index in 0..new.methods.len() {
        let name = name(new, index);
        let is_known = (0..old.methods.len())
            .any(|other| old.methods[other] == new.methods[index] || old.method_name(other) == Some(&name));
        if !is_known {
            found.added.push(place(new, &name));
        }
    }
}

/// Returns the name of a method, or its number if the signatures were stripped.
fn name(interface: &Interface, index: usize) -> String {
    interface.method_name(index).map_or_else(|| format!("function {index}"), str::to_owned)
}

/// Returns the path of a method.
fn place(interface: &Interface, method: &str) -> String {
    if interface.name.is_empty() { method.to_owned() } else { format!("{}.{method}", interface.name) }
}

/// Returns what changed between two signatures whose fingerprints differ.
fn changes(old: Result<Signature>, new: Result<Signature>) -> Vec<String> {
    let (old, new) = match (old, new) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(error), _) | (_, Err(error)) => return vec![format!("its types changed ({error:#})")],
    };
    let mut found = Vec::new();
    if old.is_exclusive != new.is_exclusive {
        let receiver = |is_exclusive| if is_exclusive { "&mut self" } else { "&self" };
        found.push(format!("it takes {}, expected {}", receiver(new.is_exclusive), receiver(old.is_exclusive)));
    }
    if old.arguments.len() != new.arguments.len() {
        found.push(format!("it has {} arguments, expected {}", new.arguments.len(), old.arguments.len()));
    } else {
        found.extend(old.arguments.iter().zip(&new.arguments).filter_map(|(old, new)| changed_argument(old, new)));
    }
    for (what, old, new) in [("it returns", &old.returns, &new.returns), ("its error is", &old.error, &new.error)] {
        if !new.serves_as(old) {
            found.push(format!("{what} {}, expected {}", new.with_definition(), old.with_definition()));
        }
    }
    found
}

fn changed_argument(old: &Argument, new: &Argument) -> Option<String> {
    if old.kind == new.kind && new.of.serves_as(&old.of) {
        return None;
    }
    let described = |argument: &Argument| match argument.of {
        Type::Struct(..) | Type::Enum(..) => format!("{argument} with {}", argument.of.with_definition()),
        _ => argument.to_string(),
    };
    Some(format!("the argument {} is {}, expected {}", old.name, described(new), described(old)))
}
