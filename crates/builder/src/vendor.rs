//! The source of `bareflow-abi` and of the interfaces that loader and kernel provide, as standalone crates for modules that
//! lie anywhere.

use std::path::{Path, PathBuf};

use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

use crate::error::BuildError;
use crate::subprocess::read;

/// The tables whose entries can be inherited, and the workspace's tables that they are inherited from.
const INHERITED: [(&str, &str); 2] = [("package", "package"), ("dependencies", "dependencies")];

/// The crates that are taken out, each with its folder there: the others lie inside of `bareflow-abi`.
const CRATES: [(&str, &str); 13] = [
    ("abi", ""),
    ("crates/macros", "macros/"),
    ("interfaces/channel", "interfaces/channel/"),
    ("interfaces/device", "interfaces/device/"),
    ("interfaces/engine", "interfaces/engine/"),
    ("interfaces/events", "interfaces/events/"),
    ("interfaces/nic", "interfaces/nic/"),
    ("interfaces/random", "interfaces/random/"),
    ("interfaces/regions", "interfaces/regions/"),
    ("interfaces/report", "interfaces/report/"),
    ("interfaces/store", "interfaces/store/"),
    ("interfaces/supervision", "interfaces/supervision/"),
    ("interfaces/tcp", "interfaces/tcp/"),
];

/// Returns the files of a standalone crate made of the `abi` of the workspace at `root`, with the crates inside of it:
/// paths, in a fixed order, and bytes.
///
/// # Errors
/// When a file can't be read, or a manifest can't be understood.
pub fn abi(root: &Path) -> Result<Vec<(String, Vec<u8>)>, BuildError> {
    let text = |path: &Path| Ok::<_, BuildError>(String::from_utf8_lossy(&read(path)?).into_owned());
    let workspace = text(&root.join("Cargo.toml"))?;
    let mut files = Vec::new();
    for (folder, target) in CRATES {
        let folder = root.join(folder);
        let manifest = standalone_manifest(&text(&folder.join("Cargo.toml"))?, &workspace, target);
        let manifest = manifest.map_err(|reason| BuildError::Metadata { reason })?;
        files.push((format!("{target}Cargo.toml"), manifest.into_bytes()));
        add_sources(&folder, target, &mut files)?;
    }
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        files.push((licence.to_owned(), read(&root.join(licence))?));
    }
    Ok(files)
}

/// Adds the sources of the crate in `folder` to `files`, below `target`.
fn add_sources(folder: &Path, target: &str, files: &mut Vec<(String, Vec<u8>)>) -> Result<(), BuildError> {
    let mut folders = vec![folder.join("src")];
    while let Some(found) = folders.pop() {
        for path in entries(&found)? {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
                files.push((format!("{target}{name}"), read(&path)?));
            }
        }
    }
    Ok(())
}

/// Returns the entries of a folder, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let failed = |error| BuildError::File { path: folder.to_owned(), action: "list", error };
    let found = std::fs::read_dir(folder).map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.path()));
    let mut found = found.collect::<Result<Vec<_>, BuildError>>()?;
    found.sort();
    Ok(found)
}

/// Returns the manifest `own` of a crate that is put into `target`, with the values that it inherits from `workspace`
/// filled in.
fn standalone_manifest(own: &str, workspace: &str, target: &str) -> Result<String, String> {
    let parse = |text: &str| text.parse::<DocumentMut>().map_err(|error| format!("a manifest: {error}"));
    let (mut own, workspace) = (parse(own)?, parse(workspace)?);
    let given = |table: &str, key: &str| {
        let found = workspace.get("workspace").and_then(|found| found.get(table)?.get(key));
        found.ok_or(format!("the workspace gives no {table}.{key}"))
    };
    for (table, source) in INHERITED {
        let Some(entries) = own.get_mut(table).and_then(Item::as_table_like_mut) else { continue };
        for (key, item) in entries.iter_mut().filter(|(_, item)| is_inherited(item)) {
            *item = inherited(given(source, key.get())?, item, target)?;
        }
    }
    own.remove("dev-dependencies");
    // Of the lints, only the one on this crate's `cfg` names is needed.
    let mut rust = Table::new();
    rust.insert("unexpected_cfgs", given_lint(&workspace)?.clone());
    let mut lints = Table::new();
    lints.set_implicit(true);
    lints.insert("rust", Item::Table(rust));
    own.insert("lints", Item::Table(lints));
    Ok(own.to_string())
}

/// Returns the value that `own` inherits in `target`, with what `own` adds to it.
fn inherited(given: &Item, own: &Item, target: &str) -> Result<Item, String> {
    let more: Vec<_> = own.as_table_like().into_iter().flat_map(TableLike::iter).collect();
    let more = more.into_iter().filter(|(key, _)| *key != "workspace");
    let mut found = match given {
        Item::Value(Value::InlineTable(table)) => table.clone(),
        Item::Value(version @ Value::String(_)) if more.clone().next().is_some() => {
            InlineTable::from_iter([("version", version.clone())])
        }
        other => return Ok(other.clone()),
    };
    for (key, item) in more {
        found.extend(item.as_value().map(|value| (key, value.clone())));
    }
    if let Some(path) = found.get("path").and_then(Value::as_str) {
        let there = CRATES.iter().find(|(source, _)| *source == path);
        let (_, folder) = there.ok_or_else(|| format!("a dependency on {path}, which is not taken out with it"))?;
        let path = format!("{}{folder}", "../".repeat(target.matches('/').count()));
        found.insert("path", path.trim_end_matches('/').into());
    }
    found.fmt();
    Ok(value(found))
}

fn given_lint(workspace: &DocumentMut) -> Result<&Item, String> {
    let found = workspace.get("workspace").and_then(|found| found.get("lints")?.get("rust")?.get("unexpected_cfgs"));
    found.ok_or("the workspace gives no lints.rust.unexpected_cfgs".to_owned())
}

/// Whether an entry is `KEY.workspace = true`.
fn is_inherited(item: &Item) -> bool {
    item.as_table_like().and_then(|table: &dyn TableLike| table.get("workspace")?.as_bool()) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: &str = "[workspace.package]\nversion = \"1.2.3\"\n[workspace.dependencies]\nfoo = \"1\"\n\
                             baz = { path = \"crates/macros\", version = \"2\" }\n\
                             [workspace.lints.rust]\nunexpected_cfgs = { level = \"warn\" }\n";

    #[test]
    fn writes_out_what_is_inherited() {
        let own = "[package]\nname = \"a\"\nversion.workspace = true\n\n[dependencies]\nfoo.workspace = true\n\
                   bar = { version = \"3\", optional = true }\nbaz = { workspace = true, optional = true }\n\n\
                   [dev-dependencies]\nother = \"1\"\n\n[lints]\nworkspace = true\n";
        let expected = "[package]\nname = \"a\"\nversion = \"1.2.3\"\n\n[dependencies]\nfoo = \"1\"\n\
                        bar = { version = \"3\", optional = true }\n\
                        baz = { path = \"macros\", version = \"2\", optional = true }\n\n[lints.rust]\nunexpected_cfgs = { level = \"warn\" }\n";
        let found = standalone_manifest(own, WORKSPACE, "").unwrap();
        assert_eq!(found.replace("\n\n\n", "\n\n"), expected, "{found}");
        let below = standalone_manifest(own, WORKSPACE, "interfaces/a/").unwrap();
        assert!(below.contains("path = \"../../macros\""), "{below}");
    }

    #[test]
    fn rejects_a_dependency_that_is_not_taken_out() {
        let own = "[dependencies]\nfoo.workspace = true\n";
        let workspace = WORKSPACE.replace("foo = \"1\"", "foo = { path = \"crates/foo\" }");
        let found = standalone_manifest(own, &workspace, "");
        assert_eq!(found, Err("a dependency on crates/foo, which is not taken out with it".to_owned()));
    }

    #[test]
    fn rejects_what_the_workspace_does_not_give() {
        let own = "[package]\nedition.workspace = true\n";
        assert_eq!(standalone_manifest(own, WORKSPACE, ""), Err("the workspace gives no package.edition".to_owned()));
    }

    #[test]
    fn finds_every_source_of_abi() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let files = abi(root).unwrap();
        let has = |name: &str| files.iter().any(|(path, _)| path == name);
        assert!(has("src/lib.rs") && has("src/state/cell.rs") && has("LICENSE-MIT"));
        assert!(has("macros/Cargo.toml") && has("macros/src/lib.rs"));
        assert!(has("interfaces/events/Cargo.toml") && has("interfaces/regions/src/guard.rs"));
        for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with("Cargo.toml")) {
            let manifest = String::from_utf8_lossy(bytes);
            assert!(!manifest.contains("workspace = true"), "{path}: {manifest}");
        }
    }
}
