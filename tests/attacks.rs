//! What clients and modules try on a kernel that `serve` keeps up: the attacks of `tests/attacks/run` that take
//! little time. `make attacks` tries all of them.

use std::process::Command;

use bareflow::embedded::KERNEL;

/// Those that send much, or wait for long.
const LONG: [&str; 5] = ["many_conditions", "long_names", "looping_init", "forgotten_names", "many_modules"];

#[test]
fn a_served_kernel_holds_against_clients_and_modules() {
    assert!(!KERNEL.is_empty(), "this build has no kernel; run `make setup`");
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let mut serve = Command::new(env!("CARGO_BIN_EXE_bareflow"))
        .args(["serve", "--socket"])
        .arg(&socket)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/attacks/run");
    let python = |arguments: &[&str]| {
        let output = Command::new("python3").arg(run).args(arguments).output();
        output.unwrap_or_else(|error| panic!("python3: {error}; run `make setup`"))
    };
    let help = python(&["--help"]);
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let names = help.split_once("where none is named: ").map(|(_, rest)| rest).unwrap_or_default();
    let names = names.split("\n\n").next().unwrap_or_default().split("options:").next().unwrap_or_default();
    let names = names.split([',', ' ', '\n']).filter(|name| name.contains('_') && !LONG.contains(name));
    // The command connects as soon as the kernel answers.
    while !socket.exists() {
        assert!(serve.try_wait().unwrap().is_none(), "serve ended");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let socket = socket.display().to_string();
    let arguments: Vec<&str> = [&*socket, "--patience", "60"].into_iter().chain(names).collect();
    assert!(arguments.len() > 10, "{arguments:?}\n{help}");
    let output = python(&arguments);
    let _ = serve.kill();
    let _ = serve.wait();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.lines().filter(|line| line.starts_with("ok")).count(), arguments.len() - 3, "{said}");
    print!("{said}");
}
