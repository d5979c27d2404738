//! Attacks by clients and modules on a kernel that `serve` runs: the quick ones of `tests/attacks/run`. `make attacks`
//! runs all of them.

use std::process::{Child, Command, Stdio};

use bareflow::embedded::KERNEL;

/// A served kernel, which ends with the test, whatever its outcome.
struct Serve(Child);

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_served_kernel_holds_against_clients_and_modules() {
    assert!(!KERNEL.is_empty(), "this build has no kernel; run `make setup`");
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let mut serve = Command::new(env!("CARGO_BIN_EXE_bareflow"));
    serve.args(["serve", "--socket"]).arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
    let mut serve = Serve(serve.spawn().unwrap());
    // The socket is enough: the attacks wait until the kernel answers.
    while !socket.exists() {
        assert!(serve.0.try_wait().unwrap().is_none(), "serve ended");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/attacks/run");
    let output = Command::new("python3").arg(run).arg(&socket).args(["--quick", "--patience", "60"]).output();
    let output = output.unwrap_or_else(|error| panic!("python3: {error}; run `make setup`"));
    drop(serve);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().filter(|line| line.starts_with("ok")).count(), 11, "{said}");
    print!("{said}");
}
