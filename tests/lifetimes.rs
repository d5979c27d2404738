//! Leftovers after `serve` and `boot` end, in whatever way.

mod common;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{assert_code, bareflow, errors, test_blob, text};
use rustix::process::{Pid, Signal, kill_process};

/// Far more time than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// Waits until `is_so` returns true; `what` describes the condition.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The command as a process, with its temporary files in a folder with a long name.
struct Running {
    child: Child,
    temporary: PathBuf,
    folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(words: &[&str]) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let temporary = folder.path().join("long".repeat(40));
        fs::create_dir(&temporary).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_bareflow"));
        command.args(words).env("TMPDIR", &temporary).stdout(Stdio::piped()).stderr(Stdio::piped());
        if words[0] == "serve" {
            command.arg("--socket").arg(folder.path().join("s"));
        }
        let running = Running { child: command.spawn().unwrap(), temporary, folder };
        if words[0] == "serve" {
            wait_until("it has a socket", || running.socket().exists());
        }
        running
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// Runs a command that talks to this kernel.
    fn ask(&self, words: &[&str]) -> std::process::Output {
        bareflow(words.iter().copied().chain(["--socket", self.socket().to_str().unwrap()]))
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end, and returns the exit code and the error messages.
    fn end(&mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        wait_until("it ends", || self.child.try_wait().unwrap().is_some());
        let _ = self.child.stderr.take().unwrap().read_to_string(&mut said);
        (self.child.wait().unwrap().code(), said)
    }
}

/// Returns the number of QEMU processes whose arguments name `folder`.
fn qemus(folder: &Path) -> usize {
    let named = |entry: fs::DirEntry| {
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).into_owned();
        arguments.starts_with("qemu") && arguments.contains(folder.to_str().unwrap())
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| named(entry).then_some(())).count()
}

#[test]
fn serve_ends_by_a_signal_when_its_socket_file_is_gone() {
    let mut serve = Running::start(&["serve"]);
    assert_code(&serve.ask(&["ps"]), 0);
    fs::remove_file(serve.socket()).unwrap();
    // Another kernel has its socket there by now, which must stay.
    let other = std::os::unix::net::UnixListener::bind(serve.socket()).unwrap();
    serve.signal(Signal::INT);
    let (code, said) = serve.end();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("stopped by a signal"), "{said}");
    assert!(serve.socket().exists());
    drop(other);
    assert_eq!(fs::read_dir(&serve.temporary).unwrap().count(), 0);
}

#[test]
fn qemu_and_its_files_go_with_a_command_that_is_killed() {
    for words in [&["serve"][..], &["boot", "--repeat", "1000000000", "target/modules/sum.mod"]] {
        let mut killed = Running::start(words);
        wait_until("QEMU runs", || qemus(&killed.temporary) == 1);
        killed.signal(Signal::KILL);
        killed.child.wait().unwrap();
        wait_until("QEMU is gone", || qemus(&killed.temporary) == 0);
        wait_until("its folder is gone", || fs::read_dir(&killed.temporary).unwrap().count() == 0);
    }
}

#[test]
fn a_kernel_whose_console_nobody_reads_goes_on_and_says_what_is_missing() {
    let mut serve = Running::start(&["serve"]);
    assert_code(&serve.ask(&["push", test_blob("echo").to_str().unwrap()]), 0);
    let mut output = serve.child.stdout.take().unwrap();
    // Each call logs its input: far more than pipes and queues can take.
    let input = "line".repeat(50);
    assert_code(&serve.ask(&["call", "echo", "--input", &input, "--repeat", "20000"]), 0);
    let reading = std::thread::spawn(move || {
        let mut shown = Vec::new();
        output.read_to_end(&mut shown).map(|_| String::from_utf8_lossy(&shown).into_owned())
    });
    assert_code(&serve.ask(&["shutdown"]), 0);
    let shown = reading.join().unwrap().unwrap();
    assert!(shown.contains(" bytes of the console are missing: nobody read it\n"), "{} bytes", shown.len());
    assert_eq!(serve.end().0, Some(0));
}

#[test]
fn a_folder_for_temporary_files_that_is_not_there_is_named() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bareflow"));
    let output = command.arg("boot").env("TMPDIR", "/no/such/folder").output().unwrap();
    assert_code(&output, 2);
    let said = errors(&output);
    assert!(said.contains("can't make a folder in /no/such/folder: ") && said.contains("TMPDIR"), "{said}");
}

#[test]
fn serve_says_where_it_is_found_only_when_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.img");
    let made = bareflow(["disk", "create", disk.to_str().unwrap(), test_blob("echo").to_str().unwrap()]);
    assert_code(&made, 0);
    let mut serve = Running::start(&["serve", "--disk", disk.to_str().unwrap()]);
    assert_code(&serve.ask(&["ps"]), 0);
    let socket = folder.path().join("other");
    let words = ["serve", "--disk", disk.to_str().unwrap(), "--socket", socket.to_str().unwrap()];
    let refused = bareflow(words);
    assert_code(&refused, 2);
    assert!(errors(&refused).contains("another QEMU has the disk open"), "{}", errors(&refused));
    assert!(!text(&refused).contains("serving at"), "{}", text(&refused));
    assert_code(&serve.ask(&["shutdown"]), 0);
    let mut shown = String::new();
    serve.child.stdout.take().unwrap().read_to_string(&mut shown).unwrap();
    assert!(shown.contains(&format!("\nserving at {}; ", serve.socket().display())), "{shown}");
    assert_eq!(serve.end().0, Some(0));
}

#[test]
fn a_kernel_served_in_a_workspace_is_found_from_anywhere() {
    let (workspace, runtime) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    common::workspace::workspace(workspace.path());
    let command = |folder: &Path, word: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bareflow"));
        command.arg(word).current_dir(folder).env("XDG_RUNTIME_DIR", runtime.path()).env_remove("BAREFLOW_SOCKET");
        command
    };
    let mut serve = command(workspace.path(), "serve").stdout(Stdio::null()).spawn().unwrap();
    wait_until("it is found", || runtime.path().join("bareflow.sock").exists());
    assert!(workspace.path().join("target/bareflow.sock").exists());
    assert_code(&command(Path::new("/"), "ps").output().unwrap(), 0);
    assert_code(&command(workspace.path(), "shutdown").output().unwrap(), 0);
    assert_eq!(serve.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_dir(runtime.path()).unwrap().count(), 0);
}
