//! Modules outside of any workspace, made, built and tested by an installed `bareflow`.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{assert_code, errors, root, text};
use serde_json::Value;

/// A folder with nothing of this repository in it but a copy of the program.
struct Elsewhere {
    folder: tempfile::TempDir,
}

/// Installs the program.
///
/// It is never written directly: a child that another test starts at that moment would inherit the open file, and the
/// program could not be run.
fn install(place: &Path) {
    let program = env!("CARGO_BIN_EXE_bareflow");
    if fs::hard_link(program, place).is_err() {
        // The folder is on another file system.
        let copied = Command::new("cp").arg(program).arg(place).status().unwrap();
        assert!(copied.success(), "can't copy {program}");
    }
}

impl Elsewhere {
    fn new() -> Elsewhere {
        let folder = tempfile::tempdir().unwrap();
        for name in ["bin", "home", "work"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        install(&folder.path().join("bin/bareflow"));
        Elsewhere { folder }
    }

    fn work(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join("work")
    }

    /// Runs a shell command in `folder`. What cargo needs of this machine is set explicitly; the rest of the
    /// environment is empty.
    fn run(&self, folder: &Path, line: &str) -> Output {
        let path = format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH").unwrap());
        let home = std::env::var("HOME").unwrap_or_default();
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(folder).env_clear().env("PATH", path);
        shell.env("HOME", self.folder.path().join("home")).env("CARGO_NET_OFFLINE", "true");
        for (name, usual) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            shell.env(name, std::env::var(name).unwrap_or_else(|_| format!("{home}/{usual}")));
        }
        if let Ok(toolchain) = std::env::var("RUSTUP_TOOLCHAIN") {
            shell.env("RUSTUP_TOOLCHAIN", toolchain);
        }
        shell.output().unwrap()
    }
}

/// A step of a document.
#[derive(Debug)]
enum Step {
    Write { path: String, content: String },
    Run { line: String, expected: String },
}

/// Returns the files and commands of a document, in its order.
fn steps(document: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(what) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) else { continue };
        if what != "run" && !what.starts_with("file: ") {
            continue;
        }
        assert!(lines.next().unwrap().starts_with("```"), "{what}");
        let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        if let Some(path) = what.strip_prefix("file: ") {
            steps.push(Step::Write { path: path.to_owned(), content: block.join("\n") + "\n" });
            continue;
        }
        for shown in block {
            match (shown.strip_prefix("$ "), steps.last_mut()) {
                (Some(line), _) => steps.push(Step::Run { line: line.to_owned(), expected: String::new() }),
                (None, Some(Step::Run { expected, .. })) => *expected += &format!("{shown}\n"),
                _ => panic!("{shown}"),
            }
        }
    }
    steps
}

/// Replaces sizes, which differ from compiler to compiler.
fn without_sizes(text: &str) -> String {
    let is_size = |word: &str| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_digit());
    let lines = text.lines().map(|line| {
        let words: Vec<_> = line.split_whitespace().map(|word| if is_size(word) { "N" } else { word }).collect();
        words.join(" ") + "\n"
    });
    lines.collect()
}

#[test]
fn a_newcomer_gets_what_the_guide_shows() {
    let elsewhere = Elsewhere::new();
    let mut folder = elsewhere.work();
    let (mut run, mut written) = (0, 0);
    for step in steps(&fs::read_to_string(root().join("docs/modules.md")).unwrap()) {
        match step {
            Step::Write { path, content } => {
                assert!(folder.join(&path).is_file(), "{path} is not among what `new` made");
                fs::write(folder.join(path), content).unwrap();
                written += 1;
            }
            Step::Run { line, .. } if line.starts_with("cd ") => folder.push(&line[3..]),
            Step::Run { line, expected } => {
                let output = elsewhere.run(&folder, &line);
                assert_code(&output, 0);
                let shown = text(&output).replace(&format!("{}/", folder.display()), "");
                assert_eq!(without_sizes(&shown), without_sizes(&expected), "{line}");
                run += 1;
            }
        }
    }
    assert_eq!((run, written), (6, 2));
    assert!(!elsewhere.folder.path().join("home/.cargo").exists());
}

#[test]
fn what_is_made_compiles_without_a_warning_and_can_be_moved() {
    let elsewhere = Elsewhere::new();
    let work = elsewhere.work();
    assert_code(&elsewhere.run(&work, "bareflow new --standalone deep/inside/word-count"), 0);
    let moved = work.join("moved");
    fs::rename(work.join("deep/inside/word-count"), &moved).unwrap();
    let output = elsewhere.run(&moved, "cargo test");
    assert_code(&output, 0);
    assert!(text(&output).contains("copies_what_fits ... ok"), "{}", text(&output));
    assert!(!errors(&output).contains("warning"), "{}", errors(&output));
    assert_code(&elsewhere.run(&work, "bareflow build moved"), 0);
    assert!(moved.join("target/modules/word-count.mod").is_file());
    // It was compiled against this `abi`.
    let (mine, its) = (root().join("abi/src/lib.rs"), moved.join("bareflow-abi/src/lib.rs"));
    assert_eq!(fs::read(mine).unwrap(), fs::read(its).unwrap());
}

#[test]
fn what_is_made_can_import_all_that_loader_and_kernel_provide() {
    const INTERFACES: [&str; 7] = ["engine", "events", "random", "regions", "report", "store", "supervision"];
    let elsewhere = Elsewhere::new();
    let work = elsewhere.work();
    assert_code(&elsewhere.run(&work, "bareflow new --standalone all"), 0);
    let manifest = work.join("all/Cargo.toml");
    let plain = "bareflow-abi = { path = \"bareflow-abi\" }\n";
    let mut named = plain.replace("\" }", "\", features = [\"interfaces\"] }");
    for name in INTERFACES {
        named += &format!("bareflow-{name} = {{ path = \"bareflow-abi/interfaces/{name}\" }}\n");
    }
    let made = fs::read_to_string(&manifest).unwrap();
    assert!(made.contains(plain));
    fs::write(&manifest, made.replace(plain, &named)).unwrap();
    let source = "#![no_std]\nuse bareflow_abi::Context;\nuse bareflow_events::Events;\nuse bareflow_random::Random;\n\
                  use bareflow_regions::Regions;\nuse bareflow_report::Report;\nuse bareflow_store::Store;\nuse bareflow_supervision::Supervision;\n\
                  bareflow_abi::module!(all, imports = { events: Events, random: Random, regions: Regions, report: Report, store: Store, \
                  supervision: Supervision }, timers = { on_tick: 1_000 });\n\
                  fn all(_: &mut Context<'_>, mut with: Imports<'_>) -> i32 {\n\
                  let made = with.regions.create(4096).and_then(|region| with.regions.destroy(region));\n\
                  if made.is_ok() && with.events.after(Event::ON_TICK, 1).is_ok() { 7 } else { -1 }\n}\n\
                  fn on_tick() -> i32 { 0 }\n";
    fs::write(work.join("all/src/lib.rs"), source).unwrap();
    assert_code(&elsewhere.run(&work, "bareflow build all"), 0);
    let output = elsewhere.run(&work, "bareflow host all/target/modules/all.mod");
    assert_code(&output, 0);
    assert!(text(&output).contains("Result: 7\n"), "{}", text(&output));
}

#[test]
fn exit_codes_and_messages_say_what_came_of_the_examples() {
    let elsewhere = Elsewhere::new();
    let work = elsewhere.work();
    assert_code(&elsewhere.run(&work, "bareflow new --standalone echo"), 0);
    let manifest = work.join("echo/Cargo.toml");
    let good = fs::read_to_string(&manifest).unwrap();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from));
        fs::write(&manifest, good.replace(from, to)).unwrap();
    };
    let fails = |code: i32, expected: &str| {
        let output = elsewhere.run(&work, "bareflow test echo --json found.json");
        assert_code(&output, code);
        assert!(errors(&output).contains(expected), "{}", errors(&output));
    };
    with("output = \"hello\"", "output = \"hellO\"");
    fails(
        1,
        "error: echo 0.1.0, host, kernel domain; host, user domain: example 1: wrote 5 bytes, expected 5; from byte 4 on \"o\", expected \"O\"",
    );
    let json: Value = serde_json::from_slice(&fs::read(work.join("found.json")).unwrap()).unwrap();
    assert_eq!((&json["passed"], &json["modules"][0]["trials"][1]["domain"]), (&false.into(), &"user".into()));
    with("result = 5", "result = 4");
    fails(1, "example 1: returned 5, expected 4");
    with("output = \"hello\"\nresult = 5\n", "");
    fails(2, "example 1: checks nothing, expected `output` or `result` of a function, or `answer` of a method");
    with("input = \"hello\"", "input = { file = \"none\" }");
    fails(2, "example 1: input: can't read none: ");
    let start = good.find("# A call").unwrap();
    with(&good[start..good.find("# A workspace").unwrap()], "");
    fails(2, "no module here has an example");
    fs::write(&manifest, &good).unwrap();
    let source = work.join("echo/src/lib.rs");
    let code = fs::read_to_string(&source).unwrap();
    fs::write(&source, code.replace("let mut count = 0;", "let mut count = 0; assert!(context.input().is_empty());"))
        .unwrap();
    fails(1, "example 1: faulted: panic");
    fs::write(&source, "no Rust").unwrap();
    fails(1, "error: module echo does not compile:");
    for (line, expected) in [
        ("bareflow build", "no workspace with a folder `modules`"),
        ("bareflow build ./none", "no Cargo.toml in ./none; `bareflow new --standalone ./none` makes a module"),
        ("bareflow test none", "no workspace with a folder `modules`"),
        ("bareflow test --gallery", "no workspace with a folder `modules`"),
        ("bareflow new --standalone echo", "echo is there already"),
    ] {
        let output = elsewhere.run(&work, line);
        assert_code(&output, 2);
        assert!(errors(&output).contains(expected), "{line}: {}", errors(&output));
    }
}
