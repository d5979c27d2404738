//! The imports between files: they go in one direction, except for the listed circles, which must not grow.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The crates' sources, and the number of their top-level modules that import each other in circles.
const CIRCLES: [(&str, usize); 13] = [
    ("abi/src", 0),
    ("crates/builder/src", 0),
    ("crates/containment/src", 0),
    ("crates/disk/src", 0),
    ("crates/host/src", 0),
    ("crates/loader/src", 0),
    ("crates/packer/src", 0),
    ("crates/protocol/src", 0),
    ("crates/runtime/src", 0),
    ("crates/server/src", 0),
    ("crates/suite/src", 0),
    ("kernel/src", 0),
    ("src", 0),
];

type Imports = BTreeMap<String, BTreeSet<String>>;

/// Collects the top-level modules that the files of the module `name` import, given one of its files or its folder.
fn collect(path: &Path, name: &str, imports: &mut Imports) {
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| collect(&entry.unwrap().path(), name, imports));
    } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test(path) {
        let text = fs::read_to_string(path).unwrap();
        // Tests may look at anything; they stand at a file's end.
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        let found = imports.entry(name.to_owned()).or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for path in lines.flat_map(|line| line.split("crate::").skip(1)) {
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

/// The imports of each top-level module of a crate.
fn imports_of(source: &Path) -> Imports {
    let mut imports = Imports::new();
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let name = name.strip_suffix("_tests").map_or(name.clone(), |_| String::new());
        if !name.is_empty() && !["lib", "main", "testing", "tests"].contains(&name.as_str()) {
            collect(&path, &name, &mut imports);
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

#[test]
fn no_more_modules_import_each_other_in_circles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = CIRCLES.map(|(source, most)| {
        let imports = imports_of(&root.join(source));
        let circles = in_circles(&imports);
        println!("{source}: {} of {} modules in circles, {most} expected: {circles:?}", circles.len(), imports.len());
        (source, circles.len())
    });
    assert_eq!(found, CIRCLES, "write the new numbers down when there are fewer");
}

#[test]
fn finds_circles_and_nothing_else() {
    let imports: Imports = [("a", vec!["b"]), ("b", vec!["c", "d"]), ("c", vec!["a"]), ("d", vec![])]
        .map(|(name, imported)| (name.to_owned(), imported.into_iter().map(str::to_owned).collect()))
        .into();
    assert_eq!(in_circles(&imports), ["a", "b", "c"]);
}
