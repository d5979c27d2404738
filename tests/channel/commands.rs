//! The commands, run as a program.

use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::common::{assert_code, bareflow, blob, errors, text};
use crate::fake_kernel::Bench;

/// Runs a command against the bench, with its response as JSON.
fn run(bench: &Bench, words: &[&str], code: i32) -> (String, String, serde_json::Value) {
    let socket = bench.socket();
    let json = socket.with_file_name("answer.json");
    let _ = std::fs::remove_file(&json);
    let mut all = words.to_vec();
    let follows = ["--socket", socket.to_str().unwrap(), "--json", json.to_str().unwrap()];
    all.extend(follows);
    let output = bareflow(all);
    assert_code(&output, code);
    let answer = std::fs::read(json).map(|bytes| serde_json::from_slice(&bytes).unwrap()).unwrap_or_default();
    (text(&output), errors(&output), answer)
}

#[test]
fn every_command_shows_its_answer_and_keeps_it() {
    let bench = Bench::start();
    let sum = blob("sum");
    let sum = sum.to_str().unwrap();
    let (shown, _, answer) = run(&bench, &["push", sum], 0);
    let expected = "sum 1.0.0 (load 2) in place of 1.0.0 (load 1); state none; prepared in 900 cycles, \
        switched in 80; 5 pages, 192 shared bytes and 812 bytes of tables given back\n";
    assert_eq!(shown, expected);
    assert_eq!((&answer["schema"], &answer["generation"]), (&1.into(), &2.into()));
    let cases: [(&[&str], &str, &str); 10] = [
        (&["ps"], "NAME  VERSION  LOAD  DOMAIN  STATE  CALLS  P50  P99  MEMORY\n", "modules"),
        (&["stats"], "no module is loaded\n", "modules"),
        (&["call", "echo", "--input", "hi"], "echo 1.0.0 (load 1) returned 2\n  Output: hi\n  70 cycles\n", "output"),
        (&["call", "echo", "--repeat", "3"], "  3 calls, 70 cycles: min 20, max 30\n", "calls"),
        (&["unload", "sum"], "sum 1.0.0 (load 1) is unloaded after 3 calls\n  pages ", "pages_held"),
        (&["activate", "sum@1.0.0"], "sum@1.0.0 is what its name stands for now\n", "done"),
        (&["compare", "a", "b", "--over", "5"], "results and outputs are equal\n", "ratios"),
        (&["ls"], "BYTES  NAME     MODULE  VERSION\n  134  sum.mod  sum     1.0.0\n", "files"),
        (&["save", "sum"], "sum is at /modules/sum.mod now: 134 bytes\n", "path"),
        (&["load", "/modules/sum.mod"], "sum 1.0.0 (load 2)", "replaced"),
    ];
    for (words, expected, field) in cases {
        let (shown, _, answer) = run(&bench, words, 0);
        assert!(shown.contains(expected), "{words:?}: {shown}");
        assert!(answer["schema"] == 1 && !answer[field].is_null(), "{words:?}: {answer}");
    }
    let (_, said, answer) = run(&bench, &["ls"], 0);
    assert_eq!(said, "[WARN] /modules: there may be more: the folder is damaged\n");
    assert_eq!(answer["cut"], "the folder is damaged");
    let (shown, said, answer) = run(&bench, &["log"], 0);
    assert!(shown.starts_with("xxx") && said.contains("[2 older lines are gone]"), "{said}");
    assert_eq!(answer["first"], 2);
    let (shown, _, answer) = run(&bench, &["shutdown"], 0);
    assert_eq!((shown.as_str(), &answer["done"]), ("the kernel ends\n", &true.into()));
}

#[test]
fn what_the_kernel_refuses_exits_with_1() {
    let bench = Bench::start();
    let (shown, said, answer) = run(&bench, &["call", "nobody"], 1);
    assert_eq!((shown.as_str(), said.as_str()), ("", "error: no module nobody is loaded; see `ps`\n"));
    assert_eq!(answer["error"], "no module nobody is loaded; see `ps`");
    let sum = blob("sum");
    let (shown, said, answer) = run(&bench, &["push", sum.to_str().unwrap(), "--gate", "p99<=0.5,outputs-equal"], 1);
    assert!(shown.starts_with("gate failed\n  failed  p99<=0.5: p99 1 times\n"), "{shown}");
    assert!(said.starts_with("error: ") && said.contains("did not pass its gate"), "{said}");
    assert_eq!(answer["passed"], false);
    bench.end();
}

#[test]
fn without_a_kernel_or_with_wrong_words_the_exit_is_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let name = path.to_str().unwrap();
    let sum = blob("sum");
    for words in [&["ps"][..], &["push", sum.to_str().unwrap()], &["log", "--follow"], &["watch", "sum"]] {
        let output = bareflow(words.iter().chain(&["--socket", name]));
        assert_code(&output, 2);
        let expected = format!("error: no kernel at {name}: ");
        assert!(errors(&output).starts_with(&expected), "{}", errors(&output));
        assert!(errors(&output).contains("; run `bareflow serve` first"), "{}", errors(&output));
    }
    drop(UnixListener::bind(&path).unwrap());
    let output = bareflow(["ps", "--socket", name]);
    assert_code(&output, 2);
    let wrong: [(&[&str], &str); 8] = [
        (&["push", "/no/such.mod"], "/no/such.mod: can't read: "),
        (&["push", sum.to_str().unwrap(), "--gate", "p98<=1"], "--gate: \"p98<=1\", expected outputs-equal"),
        (&["push", sum.to_str().unwrap(), "--over", "5"], "--gate"),
        (&["call"], "required arguments"),
        (&["ps", "--port", "/dev/null"], "is no serial port"),
        (&["ps", "--port", "/no/such"], "can't open /no/such"),
        (&["ps", "--port", "/dev/null", "--socket", name], "cannot be used with"),
        (&["watch", "nobody"], "nobody"),
    ];
    for (words, expected) in wrong {
        let output = bareflow(words);
        assert_code(&output, 2);
        assert!(errors(&output).contains(expected), "{}", errors(&output));
    }
}

#[test]
fn serve_refuses_a_socket_that_is_in_use() {
    let bench = Bench::start();
    let socket = bench.socket();
    let output = bareflow([Path::new("serve"), Path::new("--socket"), &socket]);
    assert_code(&output, 2);
    let expected = format!("error: a kernel is served at {} already; end it by", socket.display());
    assert!(errors(&output).starts_with(&expected), "{}", errors(&output));
    assert!(socket.exists());
    bench.end();
}
