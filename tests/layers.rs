//! The imports between files: they go in one direction, between the folders of a crate and inside each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The crates' sources.
const SOURCES: [&str; 23] = [
    "abi/src",
    "crates/builder/src",
    "crates/containment/src",
    "crates/devices/src",
    "crates/disk/src",
    "crates/host/src",
    "crates/loader/src",
    "crates/macros/src",
    "crates/packer/src",
    "crates/protocol/src",
    "crates/pvh/src",
    "crates/runtime/src",
    "crates/server/src",
    "crates/suite/src",
    "engines/compiler/src",
    "engines/conformance/src",
    "engines/guests/src",
    "engines/interpreter/src",
    "engines/portable/src",
    "engines/runner/src",
    "engines/translator/src",
    "kernel/src",
    "src",
];

type Imports = BTreeMap<String, BTreeSet<String>>;

/// Collects the modules of a folder that the files of its module `name` import, given one of them or their folder.
///
/// `paths` are the folder's paths in imports: `crate::` and its name, and `super::` in the folder's own files.
fn collect(path: &Path, name: &str, paths: &[String], imports: &mut Imports) {
    if path.is_dir() {
        // Files deeper down use `super::` for another folder.
        let absolute = &paths[..1];
        fs::read_dir(path).unwrap().for_each(|entry| collect(&entry.unwrap().path(), name, absolute, imports));
    } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(path) {
        let text = fs::read_to_string(path).unwrap();
        // Tests may look at anything; they stand at a file's end.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let found = imports.entry(name.to_owned()).or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let used = lines.flat_map(|line| paths.iter().flat_map(|path| line.split(path.as_str()).skip(1)));
        for path in used {
            let group = path.strip_prefix('{').map_or(path, |group| group.split('}').next().unwrap_or(group));
            let names = if group.len() < path.len() { group.split(',').collect() } else { vec![path] };
            for name in names {
                let end = |character: char| !character.is_alphanumeric() && character != '_';
                found.extend(name.trim().split(end).next().map(str::to_owned));
            }
        }
    }
}

/// Tests may look at anything.
fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests" || stem.to_string_lossy().ends_with("_tests"))
}

/// The imports of each module of a folder, whose path in imports is `path`.
fn imports_of(folder: &Path, path: &str) -> Imports {
    let mut imports = Imports::new();
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        // A module's own file stands above its parts.
        if !is_test(&file) && !["lib", "main", "mod", "testing"].contains(&name.as_str()) {
            collect(&file, &name, &[path.to_owned(), "super::".to_owned()], &mut imports);
        }
    }
    imports
}

/// The modules that lead back to themselves.
fn in_circles(imports: &Imports) -> Vec<&str> {
    let leads_back = |start: &str| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![start]);
        while let Some(module) = next.pop() {
            for imported in imports.get(module).into_iter().flatten().filter(|imported| *imported != module) {
                if imported == start {
                    return true;
                }
                if seen.insert(imported.as_str()) {
                    next.push(imported);
                }
            }
        }
        false
    };
    imports.keys().map(String::as_str).filter(|module| leads_back(module)).collect()
}

/// Checks a folder and those in it; returns the circles, and how many folders there were.
fn check(folder: &Path, path: &str, circles: &mut Vec<String>) -> usize {
    let imports = imports_of(folder, path);
    let found = in_circles(&imports);
    if !found.is_empty() {
        circles.push(format!("{}: {}", folder.display(), found.join(", ")));
    }
    let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let names = folders.map(|folder| (folder.file_name().unwrap().to_string_lossy().into_owned(), folder));
    1 + names.map(|(name, folder)| check(&folder, &format!("{path}{name}::"), circles)).sum::<usize>()
}

#[test]
fn no_modules_import_each_other_in_circles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut circles = Vec::new();
    let folders: usize = SOURCES.iter().map(|source| check(&root.join(source), "crate::", &mut circles)).sum();
    println!("{folders} folders, circles: {circles:?}");
    assert!(folders > SOURCES.len() && circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn finds_circles_and_nothing_else() {
    let imports: Imports = [("a", vec!["b"]), ("b", vec!["c", "d"]), ("c", vec!["a"]), ("d", vec![])]
        .map(|(name, imported)| (name.to_owned(), imported.into_iter().map(str::to_owned).collect()))
        .into();
    assert_eq!(in_circles(&imports), ["a", "b", "c"]);
}
