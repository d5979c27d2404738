//! Parameters of modules: set at a boot, on the host and by clients, kept through restarts and reloads, refused by name.

mod common;

use std::fs;

use bareflow::embedded::KERNEL;
use bareflow::input_files::InputFiles;
use bareflow::qemu::{ExitReason, Machine};
use bareflow_loader::{Domain, FaultPolicy, LoadOptions};
use bareflow_protocol::control::{LoadOverrides, MAX_PARAMETERS};
use bareflow_protocol::options::Task;
use bareflow_protocol::report::SetParameter;
use bareflow_protocol::{Request, Response};
use common::mutate::{file, renamed};
use common::server::{Local, refusal};
use common::{assert_code, bareflow, blob, errors, options, test_blob, text};
use serde_json::{Value, json};

/// The lines that set every parameter of `settings`.
const ALL: &str = "settings.mtu=0x2328\nsettings.verbose=true\nsettings.hostname=a b\u{e4}\nsettings.separator=\u{2192}\n\
    settings.loss=1\nsettings.gain=2.5\nsettings.byte=0\nsettings.port=65535\nsettings.serial=1\nsettings.level=127\n\
    settings.offset=5\nsettings.celsius=-40\nsettings.since=-1\n";

/// The output of `settings` with these values.
const SHOWN: &str = "9000/9000 true a b\u{e4}\u{2192}100% 2500 0 65535 1 127 5 -40 -1";

/// The output of `settings` with the defaults.
const DEFAULTS: &str = "1500/1500 false bareflow 0% 100 255 7 18446744073709551615 -1 -32768 20 -9223372036854775808";

/// The names of the parameters of `settings`, as refusals list them.
const NAMES: &str =
    "(it has mtu, verbose, hostname, separator, loss, gain, byte, port, serial, level, offset, celsius, since)";

/// The version of `settings` with another minor number.
fn version(minor: u32) -> Vec<u8> {
    renamed("settings", "settings", (1, minor, 0))
}

/// The module that replaces it with other parameters.
fn next() -> Vec<u8> {
    renamed("settings-next", "settings", (2, 0, 0))
}

/// Pushes a blob with these parameters.
fn push(local: &Local, blob: &[u8], parameters: &str) -> Response {
    local.push(blob, |push| push.overrides.parameters = parameters)
}

fn loaded(answer: Response) {
    assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
}

fn shown(local: &Local) -> String {
    String::from_utf8(local.call("settings", b"").output).unwrap()
}

fn set(local: &Local) -> Vec<String> {
    let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
    modules.iter().flat_map(|module| &module.parameters).map(SetParameter::to_string).collect()
}

#[test]
fn a_kernel_sets_them_in_both_domains() {
    assert!(!KERNEL.is_empty(), "this build has no kernel; run `make setup`");
    for domain in Domain::ALL {
        let files = InputFiles {
            blobs: vec![("settings.mod".to_owned(), fs::read(test_blob("settings")).unwrap())],
            parameters: format!("{ALL}sum.step=1\nnobody.at=home\n"),
            ..InputFiles::default()
        };
        let machine = Machine { files, options: options(Task::Run, domain.name(), ""), ..Machine::new(KERNEL) };
        let outcome = machine.run(|_| ()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(outcome.exit_reason, ExitReason::Failed, "{}", outcome.console);
        assert!(outcome.console.contains(SHOWN), "{domain:?}: {}", outcome.console);
        let report = outcome.into_report().unwrap_or_else(|error| panic!("{error}"));
        let refused: Vec<_> = report.refused.iter().map(|one| (one.source.as_str(), one.error.as_str())).collect();
        let expected = [
            ("sum.mod", "unknown parameter: step; set one that the module has, see `inspect` (it has no parameters)"),
            ("nobody.at=home", "no module nobody is loaded, so nothing is set; check the name, or load it first"),
        ];
        assert_eq!(refused, expected);
        let settings = report.modules.iter().find(|module| module.name == "settings").unwrap();
        assert_eq!(settings.parameters.len(), 13);
        assert_eq!(settings.parameters[0].to_string(), "mtu=0x2328");
    }
}

#[test]
fn the_command_line_sets_them_on_the_host() {
    let blob = test_blob("settings").to_string_lossy().into_owned();
    let folder = tempfile::tempdir().unwrap();
    let (json, out) = (folder.path().join("report.json"), folder.path().join("out"));
    for domain in ["kernel", "user"] {
        let mut words = vec!["host", &blob, "--domain", domain, "--json", json.to_str().unwrap()];
        words.extend(["--output", out.to_str().unwrap()]);
        words.extend(ALL.lines().flat_map(|line| ["--set", line]));
        let output = bareflow(words);
        assert_code(&output, 0);
        assert_eq!(fs::read_to_string(&out).unwrap(), SHOWN);
        let shown = "  Parameters:    mtu=0x2328 verbose=true hostname=a b\u{e4}";
        assert!(text(&output).contains(shown), "{}", text(&output));
        let report: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
        assert_eq!(report["modules"][4]["parameters"][1], json!({ "name": "verbose", "value": "true" }));
        assert_eq!(report["modules"][0]["parameters"], json!([]));
    }
    let output = bareflow(["host", &blob, "--set", "settings.mtu=67"]);
    assert_code(&output, 1);
    let expected = "mtu: \"67\", expected u32, 68 to 9000; set it to such a value";
    assert!(errors(&output).contains(expected), "{}", errors(&output));
    let output = bareflow(["host", "--set", "mtu=67"]);
    assert_code(&output, 2);
    assert!(errors(&output).contains("\"mtu=67\" sets no parameter, expected MODULE.PARAMETER=VALUE"));
}

#[test]
fn inspect_shows_them() {
    let folder = tempfile::tempdir().unwrap();
    let (blob, json) = (test_blob("settings"), folder.path().join("found.json"));
    let output = bareflow(["inspect".as_ref(), blob.as_os_str(), "--json".as_ref(), json.as_os_str()]);
    assert_code(&output, 0);
    let expected = "
Parameters: 13
  mtu: u32, 68 to 9000; 1500 if not set
    The longest frame, in bytes.
  verbose: bool; false if not set
    Whether each frame is logged.
  hostname: Text of at most 32 bytes; \"bareflow\" if not set
";
    assert!(text(&output).contains(expected), "{}", text(&output));
    let found: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let expected = json!({
        "name": "mtu", "type": "u32", "default": "1500", "min": "68", "max": "9000", "max_length": null,
        "description": "The longest frame, in bytes.",
    });
    assert_eq!(found["parameters"][0], expected);
    assert_eq!(found["parameters"][2]["max_length"], 32);
    let sum = bareflow(["inspect".as_ref(), common::blob("sum").as_os_str()]);
    assert!(!text(&sum).contains("Parameters"), "{}", text(&sum));
}

#[test]
fn survive_restarts_and_reloads() {
    for domain in Domain::ALL {
        let local =
            Local::new(LoadOptions { domain, on_fault: FaultPolicy::RestartTimes(1), ..LoadOptions::default() });
        loaded(push(&local, &version(0), ""));
        assert_eq!((shown(&local).as_str(), set(&local).len()), (DEFAULTS, 0));
        loaded(push(&local, &version(1), ALL));
        assert_eq!((shown(&local), set(&local).len()), (SHOWN.to_owned(), 13));
        let fault = local.refused(Request::Call { module: "settings", input: b"fault", repeat: 1 });
        assert!(fault.contains("faulted: panic"), "{fault}");
        assert_eq!(shown(&local), SHOWN, "{domain:?}, behind the restart");
        loaded(push(&local, &version(2), ""));
        assert_eq!(shown(&local), SHOWN, "{domain:?}, behind the reload");
        loaded(push(&local, &version(3), "settings.mtu=68\nsettings.loss\n"));
        assert_eq!(shown(&local), SHOWN.replace("9000/9000", "68/68").replace("100%", "0%"));
        assert_eq!(set(&local).len(), 12);
        loaded(local.push(&version(4), |push| push.beside = true));
        let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
        assert!(modules.iter().all(|module| module.parameters.len() == 12), "{modules:?}");
    }
}

#[test]
fn what_has_no_place_in_the_next_version_is_refused_by_name() {
    let local = Local::new(LoadOptions::default());
    loaded(push(&local, &version(0), "settings.mtu=68\nsettings.verbose=true\n"));
    let lost = "this version has no such parameter; set it anew, or to its default by `--set` with its name alone \
                (it has mtu, hostname, retries)";
    let gone = refusal(push(&local, &next(), "settings.mtu=1000"));
    assert_eq!(gone, format!("verbose: \"true\" was set for 1.0.0, and {lost}"));
    let narrow = refusal(push(&local, &next(), "settings.verbose"));
    let expected = "mtu: \"68\" was set for 1.0.0, and this version expects u64, 1000 to 2000; set it anew";
    assert!(narrow.starts_with(expected), "{narrow}");
    assert_eq!(set(&local), ["mtu=68", "verbose=true"], "a refused reload changes nothing");
    loaded(push(&local, &next(), "settings.verbose\nsettings.mtu=2000\nsettings.hostname=8 bytes!"));
    assert_eq!(shown(&local), "2000 8 bytes! 3");
    assert_eq!(set(&local), ["mtu=2000", "hostname=8 bytes!"]);
}

#[test]
fn refusals_name_the_parameter() {
    let local = Local::new(LoadOptions::default());
    let refused = |parameters: &str| refusal(push(&local, &version(0), parameters));
    let unknown = format!("unknown parameter: mtuu; set one that the module has, see `inspect` {NAMES}");
    assert_eq!(refused("settings.mtuu=1"), unknown);
    assert_eq!(refused("net.mtu=1"), "net.mtu=1: the blob is of settings, expected settings.PARAMETER");
    let found = "hostname: \"a name that is longer t..\", expected Text of at most 32 bytes; set it to such a value";
    assert_eq!(refused("settings.hostname=a name that is longer than it may be"), found);
    assert_eq!(refused("settings.byte=256"), "byte: \"256\", expected u8, 0 to 255; set it to such a value");
    assert_eq!(refused("settings.separator=ab"), "separator: \"ab\", expected char; set it to such a value");
    assert_eq!(refused("settings.mtu=68\nsettings.mtu=69"), "mtu is set twice; set it once");
    assert!(refused("\u{7}").contains("\"\\u{7}\" sets no parameter"));
    let long = "settings.mtu=68\n".repeat(MAX_PARAMETERS / 16 + 1);
    assert_eq!(refused(&long), format!("{} bytes that set parameters, expected at most {MAX_PARAMETERS}", long.len()));
    let sum = refusal(push(&local, &fs::read(blob("sum")).unwrap(), "sum.step=1"));
    assert_eq!(sum, "unknown parameter: step; set one that the module has, see `inspect` (it has no parameters)");
    assert!(local.server.manager().ids().next().is_none(), "nothing of them stays");
}

#[test]
fn a_gate_compares_with_the_same_parameters() {
    let local = Local::new(LoadOptions::default());
    loaded(push(&local, &version(0), "settings.mtu=9000\n"));
    local.call("settings", b"");
    let conditions = bareflow_protocol::comparison::Condition::parse_all("outputs-equal").unwrap();
    let gated = |parameters| {
        local.push(&version(1), |push| {
            push.gate = Some(bareflow_protocol::comparison::Gate { conditions, over: 3, input: Some(b"") });
            push.overrides = LoadOverrides { parameters, ..LoadOverrides::default() };
        })
    };
    let answer = gated("settings.mtu=68\n");
    assert!(matches!(answer, Response::GateFailed(_)), "{answer:?}");
    loaded(gated(""));
    assert_eq!(set(&local), ["mtu=9000"]);
    loaded(gated("settings.mtu=0x2328\n"));
}

#[test]
fn startup_sets_them_and_refuses_those_of_nobody() {
    let blob: &'static [u8] = version(0).leak();
    let Local { server, .. } = Local::new(LoadOptions::default());
    let server = server.with_parameters("settings.mtu=9000\nnobody.at=home\n");
    server.load_at_startup("settings.mod", blob);
    server.refuse_pending();
    let id = server.manager().find("settings").unwrap();
    assert_eq!(server.manager().parameters(id).as_deref(), Some("settings.mtu=9000\n"));
    let console = server.environment().console.borrow();
    let expected = "[ERROR] nobody.at=home: no module nobody is loaded, so nothing is set; check the name";
    assert!(console.contains(expected), "{console}");
}

#[test]
fn a_served_kernel_takes_them_from_clients() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let socket = socket.to_str().unwrap();
    let blobs = [("0", version(0)), ("1", version(1))].map(|(name, bytes)| file(folder.path(), name, &bytes));
    let [old, new] = blobs.each_ref().map(|path| path.to_str().unwrap());
    for domain in Domain::ALL {
        let domain = domain.name();
        let serve = ["serve", old, "--socket", socket, "--domain", domain, "--set", "settings.mtu=68"];
        let mut kernel = std::process::Command::new(env!("CARGO_BIN_EXE_bareflow"))
            .args(serve)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let client = |words: &[&str]| bareflow(words.iter().copied().chain(["--socket", socket]));
        let up = (0..600).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            client(&["ps"]).status.success()
        });
        assert!(up, "no kernel");
        let list = text(&client(&["ps"]));
        assert!(list.contains("MEMORY  PARAMETERS\n") && list.contains("K  mtu=68\n"), "{list}");
        assert!(text(&client(&["call", "settings"])).contains("68/68 false"), "{domain}");
        let refused = client(&["push", new, "--set", "settings.mtu=9001"]);
        assert_code(&refused, 1);
        assert!(errors(&refused).contains("mtu: \"9001\", expected u32, 68 to 9000"), "{}", errors(&refused));
        assert_code(&client(&["push", new, "--set", "settings.verbose=true"]), 0);
        assert!(text(&client(&["call", "settings"])).contains("68/68 true"), "{domain}");
        assert!(text(&client(&["stats", "settings"])).contains("\n  Parameters:    mtu=68 verbose=true\n"));
        assert_code(&client(&["shutdown"]), 0);
        assert!(kernel.wait().unwrap().success());
    }
}

#[test]
fn a_replay_hands_them_over_again() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording");
    let blob = test_blob("settings").to_string_lossy().into_owned();
    let recording = recording.to_str().unwrap();
    for domain in ["kernel", "user"] {
        let boot = ["boot", &blob, "--domain", domain, "--set", "settings.mtu=9000", "--record", recording];
        assert_code(&bareflow(boot), 0);
        assert_code(&bareflow(["host", &blob, "--replay", recording]), 0);
    }
}
