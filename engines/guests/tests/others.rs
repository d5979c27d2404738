//! Portable modules that are not written in Rust: the examples in C and WAT.

mod common;

use std::path::Path;
use std::process::Command;

use bareflow_guests::{Ending, Guest, Outcome};
use common::{has_clang, root};

/// Returns the WebAssembly of the example in C, built by the command in its first lines.
fn wordcount(folder: &Path) -> Vec<u8> {
    let source = root().join("examples/portable-c/wordcount.c");
    let text = std::fs::read_to_string(&source).unwrap();
    let command: Vec<_> =
        text.lines().skip(3).take_while(|line| line.trim() != "*/").flat_map(str::split_whitespace).collect();
    let words: Vec<_> = command.into_iter().filter(|word| !["*", "\\"].contains(word)).collect();
    let (program, words) = words.split_first().unwrap();
    assert_eq!(*program, "clang");
    let output = folder.join("wordcount.wasm");
    let arguments = words.iter().map(|word| match *word {
        "wordcount.wasm" => output.as_os_str(),
        "wordcount.c" => source.as_os_str(),
        other => other.as_ref(),
    });
    let said = Command::new(program).args(arguments).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    std::fs::read(output).unwrap()
}

#[test]
fn the_example_in_c_counts_words() {
    if !has_clang() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("bareflow-guests-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let wasm = wordcount(&folder);
    std::fs::remove_dir_all(&folder).unwrap();
    let mut guest = Guest::new(&wasm).unwrap();
    let run = |guest: &mut Guest, input: &str| guest.run(input.as_bytes()).unwrap();
    assert_eq!(run(&mut guest, ""), Outcome { result: 0, output: Vec::new() });
    assert_eq!(run(&mut guest, "  a module\nin C "), Outcome { result: 4, output: b"module".to_vec() });
    let many = "four ".repeat(1000);
    assert_eq!(run(&mut guest, &many), Outcome { result: 1000, output: b"four".to_vec() });
    let Err(Ending::Panic(message, file, line)) = guest.run("x".repeat(300).as_bytes()) else { panic!("it returned") };
    assert_eq!(message, "length < sizeof(word)");
    assert!(file.ends_with("wordcount.c") && line > 0, "{file}:{line}");
}

#[test]
fn the_header_declares_what_engines_provide() {
    let header = std::fs::read_to_string(root().join("examples/portable-c/bareflow.h")).unwrap();
    for import in bareflow_abi::portable::IMPORTS {
        // Interfaces and their arguments are for Rust.
        let is_there = header.contains(&format!("BAREFLOW_IMPORT({})", import.name));
        let expected = !["argument_read", "argument_write", "invoke"].contains(&import.name);
        assert_eq!(is_there, expected, "{}", import.name);
    }
}

#[test]
fn the_example_in_wat_reverses() {
    let text = std::fs::read_to_string(root().join("examples/portable-wat/reverse.wat")).unwrap();
    let mut guest = Guest::new(&wat::parse_str(text).unwrap()).unwrap();
    assert_eq!(guest.run(b"stressed").unwrap(), Outcome { result: 1, output: b"desserts".to_vec() });
    assert_eq!(guest.call(0, b"abc", 2).unwrap(), Outcome { result: 2, output: b"cb".to_vec() });
}
