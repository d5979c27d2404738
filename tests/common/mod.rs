//! Shared parts of the integration tests: the program, and the blobs that only tests need.

#![allow(dead_code, reason = "each test file uses a part of this")]

pub mod console;
pub mod fault_classes;
pub mod faulty;
pub mod frame_classes;
pub mod kernel;
pub mod mutate;
pub mod qmp;
pub mod served;
pub mod server;
pub mod workspace;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use bareflow_builder::build_module;
use bareflow_builder::discover::module_at;
use bareflow_loader::{Budget, Domain, LoadOptions};
use bareflow_protocol::KernelOptions;
use bareflow_protocol::options::Task;

/// Returns the repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the path of a blob of `modules/`.
pub fn blob(name: &str) -> PathBuf {
    target().join("modules").join(name).with_extension("mod")
}

/// Returns the path of the blob of a module below `tests/modules`. All of them are packed once.
pub fn test_blob(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        for name in [
            "all-in-one",
            "arp",
            "bad-frames",
            "bad-task",
            "blast",
            "blast-alone",
            "card-thief",
            "counter",
            "counter-next",
            "counter-other",
            "dice",
            "early",
            "echo",
            "echo-ticker",
            "edu",
            "faults",
            "feed",
            "heap",
            "kinds",
            "kinds-relay",
            "asker",
            "who",
            "kinds-user",
            "least-task",
            "net",
            "meter",
            "meter-user",
            "panics",
            "pass",
            "random",
            "register-attack",
            "relay",
            "rogue",
            "ring",
            "ring-user",
            "settings",
            "settings-next",
            "sham-engine",
            "sharer",
            "sharer-caller",
            "slow",
            "sluggish",
            "stray",
            "tcp-echo",
            "tcp-source",
            "vectors",
            "watch",
        ] {
            let manifest = root().join("tests/modules").join(name).join("Cargo.toml");
            let module = module_at(&manifest).unwrap_or_else(|error| panic!("{error}"));
            build_module(&module, &target().join("test-modules")).unwrap_or_else(|error| panic!("{error}"));
        }
    });
    target().join("test-modules").join(name).with_extension("mod")
}

/// Packs a module of the gallery, and returns the path of its blob.
pub fn gallery_blob(name: &str) -> PathBuf {
    enclosed_blob("examples/gallery", name)
}

/// Builds one of the drivers, or of what runs on top of them, and returns the path of its blob.
pub fn driver_blob(name: &str) -> PathBuf {
    enclosed_blob("drivers", name)
}

/// Builds a module of a workspace that lies in this one. Returns the path of its blob.
fn enclosed_blob(workspace: &str, name: &str) -> PathBuf {
    let manifest = root().join(workspace).join(name).join("Cargo.toml");
    let module = module_at(&manifest).unwrap_or_else(|error| panic!("{error}"));
    let folder = target().join("test-gallery");
    build_module(&module, &folder).unwrap_or_else(|error| panic!("{error}"));
    folder.join(name).with_extension("mod")
}

fn target() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_bareflow"));
    // target/debug/bareflow
    program.ancestors().nth(2).map(Path::to_owned).unwrap_or_default()
}

/// Returns the other domain.
pub fn other(domain: Domain) -> Domain {
    if domain == Domain::Kernel { Domain::User } else { Domain::Kernel }
}

/// Returns a kernel's options for `task`, with its modules in `domain`, and limits such as `time=10s`, if any.
pub fn options(task: Task, domain: &str, limits: &str) -> KernelOptions {
    let domain = Domain::from_name(domain).unwrap_or_else(|| panic!("{domain}"));
    let limits = if limits.is_empty() { Ok(Budget::LIMITS) } else { Budget::LIMITS.parse(limits) };
    let load = LoadOptions { domain, limits: limits.unwrap_or_else(|error| panic!("{error}")), ..LoadOptions::DEFAULT };
    KernelOptions { task, load, ..KernelOptions::default() }
}

/// Runs the program to its end.
pub fn bareflow<Argument: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = Argument>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bareflow"));
    command.args(arguments).current_dir(root()).output().unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the program's standard output.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the program's standard error.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fails, and shows the program's output, unless it ended with `code`.
#[track_caller]
pub fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "\n{}\n{}", text(output), errors(output));
}

/// Returns an endless sequence of numbers, the same in every run (Marsaglia's xorshift64).
pub fn random(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}
