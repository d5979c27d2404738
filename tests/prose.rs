//! The style of doc comments: their first lines begin as is usual in Rust.

use std::fs;
use std::path::Path;

/// The first words of doc comments that are neither sentences with a verb in the third person nor noun phrases, as in
/// CONTRIBUTING.md.
const FORBIDDEN: [&str; 8] = ["What", "That", "Of", "How", "Which", "It", "Its", "Has"];

/// Folders that hold no code of this project.
const SKIPPED: [&str; 3] = ["target", ".git", "node_modules"];

/// Returns the first line of each doc comment in a file, with its line number.
fn first_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut before = "";
    text.lines().zip(1..).filter_map(move |(line, number)| {
        let marker =
            ["///", "//!"].into_iter().find(|marker| line.trim_start().starts_with(marker)).unwrap_or_default();
        let begins = !marker.is_empty() && marker != before;
        before = marker;
        begins.then(|| (number, line.trim_start().trim_start_matches(marker).trim()))
    })
}

fn look_through(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
            look_through(&path, found);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            for (number, line) in first_lines(&text) {
                if FORBIDDEN.contains(&line.split([' ', ',', ':']).next().unwrap_or_default()) {
                    found.push(format!("{}:{number}: {line}", path.display()));
                }
            }
        }
    }
}

#[test]
fn doc_comments_begin_with_a_verb_or_a_noun() {
    let mut found = Vec::new();
    look_through(Path::new(env!("CARGO_MANIFEST_DIR")), &mut found);
    found.sort();
    assert!(found.is_empty(), "{} doc comments begin otherwise:\n{}", found.len(), found.join("\n"));
}

#[test]
fn finds_the_first_line_of_each_comment_alone() {
    let text =
        "//! What a file is.\n//! Has more.\n\n/// Returns it.\n/// What more.\nfn f() {}\n    /// Of a field.\n";
    let found: Vec<_> = first_lines(text).collect();
    assert_eq!(found, [(1, "What a file is."), (4, "Returns it."), (7, "Of a field.")]);
}
