//! The gallery's crates as portable modules: those that build give the results that their examples say.

mod common;

use std::collections::BTreeMap;

use bareflow_builder::Example;
use bareflow_guests::Guest;
use common::{guest, has_clang, portable, root, try_build};

/// Crates that can't be portable modules, each with a part of the error.
const REFUSED: [(&str, &str); 4] = [
    ("linkme", "statics with a custom `#[link_section]` must be a simple list of bytes on the wasm target"),
    ("pipe-hash", SHARED),
    ("pipe-sink", SHARED),
    ("pipe-source", SHARED),
];

const SHARED: &str = "imports regions: shared memory lies outside of the memory of a portable module";

/// Modules whose examples need a loader or a kernel: events, supervision, other modules, values on a disk; or JSON for the
/// arguments of methods.
const WITHOUT_EXAMPLES_HERE: [&str; 7] = ["aes-cipher", "chacha-cipher", "cron", "keeper", "store", "ticker", "vault"];

fn folders() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("examples/gallery")).unwrap();
    let names = entries.map(|entry| entry.unwrap()).filter(|entry| entry.path().join("Cargo.toml").is_file());
    let mut names: Vec<_> = names.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn examples_hold_as_they_do_natively() {
    let refused = BTreeMap::from(REFUSED);
    let mut calls = 0;
    for name in folders() {
        let folder = format!("examples/gallery/{name}");
        if let Some(part) = refused.get(name.as_str()) {
            let error = try_build(&folder).expect_err(&name).to_string();
            assert!(error.contains(part), "{name}: {error}");
            continue;
        }
        if WITHOUT_EXAMPLES_HERE.contains(&name.as_str()) {
            // Without those, their `init` refuses the load.
            Guest::without_init(&try_build(&folder).unwrap().bytes).unwrap();
            continue;
        }
        // It is a library in C.
        if name == "secp256k1" && !has_clang() {
            continue;
        }
        let mut guest = guest(&folder);
        for Example { input, output, result, function, .. } in portable(&folder).examples().unwrap() {
            let number = |function: String| {
                guest.function_number(&function).unwrap_or_else(|| panic!("{name}: no function {function}"))
            };
            let number = function.map(number);
            let outcome = match number {
                Some(number) => guest.call_function(number, &input),
                None => guest.run(&input),
            };
            let outcome = outcome.unwrap_or_else(|ending| panic!("{name}: {ending:?}"));
            assert!(result.is_none_or(|expected| expected == outcome.result), "{name}: {outcome:?}");
            assert!(output.is_none_or(|expected| expected == outcome.output), "{name}: {outcome:?}");
            calls += 1;
        }
    }
    assert!(calls > 40, "{calls} calls");
}
