//! `serve` with the real kernel, run as a program.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{assert_code, bareflow, blob, text};
use bareflow::embedded::KERNEL;
use rustix::io::Errno;
use tempfile::TempDir;

/// A served kernel.
pub struct Served {
    folder: TempDir,
    child: Child,
}

impl Served {
    pub fn start(more: &[&str]) -> Served {
        assert!(!KERNEL.is_empty(), "this build has no kernel; run `make setup`");
        let folder = tempfile::tempdir().unwrap();
        let child = Served::spawn(&folder, more);
        let served = Served { folder, child };
        served.wait();
        served
    }

    fn spawn(folder: &TempDir, more: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bareflow"));
        command.arg("serve").arg("--socket").arg(folder.path().join("s")).args(more);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Ends the kernel and serves another one at the same socket.
    pub fn restart(&mut self) {
        self.run(&["shutdown"]);
        self.child.wait().unwrap();
        self.child = Served::spawn(&self.folder, &[]);
        self.wait();
    }

    fn wait(&self) {
        let start = Instant::now();
        while !self.socket().exists() {
            assert!(start.elapsed() < Duration::from_secs(20), "no socket");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// Runs a command, which must succeed.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> String {
        let output = bareflow(words.iter().copied().chain(["--socket", self.socket().to_str().unwrap()]));
        assert_code(&output, 0);
        text(&output)
    }

    /// Waits for the end, and returns the exit code and the error messages.
    pub fn end(mut self) -> (Option<i32>, String) {
        let errors = io::read_to_string(self.child.stderr.take().unwrap()).unwrap();
        let status = self.child.wait().unwrap();
        assert!(!self.socket().exists(), "the socket is removed");
        (status.code(), errors)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Leaves no kernel running if the test fails, or does not wait for its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn serves_a_kernel_until_it_is_shut_down() {
    let served = Served::start(&[]);
    // The kernel is still booting, so the client waits.
    let shown = served.run(&["ps"]);
    assert!(shown.contains("\nsum        0.1.0       1  kernel  loaded "), "{shown}");
    assert!(served.run(&["call", "sum", "--repeat", "5"]).starts_with("sum 0.1.0 (load 1) returned 5050\n  5 calls"));
    let sum = blob("sum");
    let shown = served.run(&["push", sum.to_str().unwrap()]);
    assert!(shown.starts_with("sum 0.1.0 (load 2) in place of 0.1.0 (load 1); state none; "), "{shown}");
    assert!(served.run(&["stats", "sum"]).contains("=== Module Stats: sum ===\n"));
    assert!(served.run(&["log"]).contains("Module loaded: sum 0.1.0 (load 2)"));
    assert_eq!(served.run(&["shutdown"]), "the kernel ends\n");
    assert_eq!(served.end(), (Some(0), String::new()));
}

#[test]
fn a_signal_ends_kernel_and_socket() {
    for signal in ["-TERM", "-INT"] {
        let served = Served::start(&["--machine", "microvm"]);
        served.run(&["ps"]);
        let processes = children(served.child.id());
        assert_eq!(processes.len(), 2, "QEMU and its guard");
        assert!(Command::new("kill").arg(signal).arg(served.child.id().to_string()).status().unwrap().success());
        let (code, said) = served.end();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.starts_with("error: stopped by a signal, expected `bareflow shutdown`"), "{said}");
        assert!(processes.iter().all(|process| !Path::new("/proc").join(process).exists()), "both are gone");
    }
}

/// Returns the IDs of a process's children.
fn children(parent: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).unwrap();
    let lists = tasks.filter_map(|task| match std::fs::read_to_string(task.unwrap().path().join("children")) {
        // The thread has ended since then, and its children now belong to another one.
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::SRCH)) => None,
        list => Some(list.unwrap()),
    });
    lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}
