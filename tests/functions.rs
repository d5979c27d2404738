//! Functions and methods of modules that clients call, on the host's platform and through the server.

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use bareflow_loader::{Domain, LoadOptions};
use bareflow_protocol::{Request, Response};
use common::server::Local;
use common::{assert_code, bareflow, errors, root, test_blob, text};
use serde_json::{Value, json};
use tempfile::TempDir;

fn bytes(module: &str) -> Vec<u8> {
    std::fs::read(test_blob(module)).unwrap()
}

/// Makes a server with a module in a domain.
#[track_caller]
fn with(module: &str, domain: Domain) -> Local {
    let local = Local::new(LoadOptions::default());
    let answer = local.push(&bytes(module), |push| push.overrides.domain = Some(domain.name()));
    assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
    local
}

#[test]
fn functions_are_called_by_name_and_profiled() {
    for domain in Domain::ALL {
        let local = with("kinds", domain);
        let called = local.call("kinds.reset", b"");
        assert_eq!((called.result, &*called.name, called.calls), (0, "kinds", 1));
        // `fail(1)`: a word, the argument.
        assert_eq!(local.call("kinds.fail@^0.1", &1_u64.to_le_bytes()).result, 1);
        assert_eq!(local.call("kinds.reset@0.1.0", b"").result, 1, "{domain:?}");
        let called = local.call("kinds.kinds.calls", b"");
        assert_eq!((called.result, called.output), (0, 0_u64.to_le_bytes().to_vec()));
        let Response::Modules(modules) = local.ask(Request::Stats { module: None }) else { panic!() };
        let functions = modules[0].functions.iter().map(|function| (&*function.name, function.call_count));
        assert_eq!(functions.collect::<Vec<_>>(), [("reset", 2), ("kinds.fail", 1), ("kinds.calls", 1)]);
    }
}

#[test]
fn rejects_other_selectors_and_inputs() {
    let local = with("kinds", Domain::Kernel);
    let refused = |module, input: &[u8]| local.refused(Request::Call { module, input, repeat: 1 });
    for (module, expected) in [
        ("kinds.none", "kinds.none: the module exports no function of that name"),
        ("kinds.none.reset", "(it exports reset, kinds.unsigned, kinds.signed,"),
        ("kinds.", "no function of that name"),
        (".reset", "no name of a module"),
        ("none.reset", "no module of that name is loaded"),
        ("kinds.reset@^7", "none of such a version"),
        ("kinds", "no run: the module only exports functions"),
    ] {
        let said = refused(module, b"");
        assert!(said.contains(expected), "{said}");
    }
    // `letters(text)`: an address, a length, and the text.
    let text = |at: u64, length: u64| [at.to_le_bytes(), length.to_le_bytes()].concat();
    for input in [&[0; 7][..], &text(16, u64::MAX), &text(16, 1 << 20), &[&text(16, 1)[..], &[0; 10]].concat()] {
        assert!(refused("kinds.letters", input).contains("expected the packed form"), "{input:?}");
    }
    let refused =
        refused("kinds.count", &[7_u64.to_le_bytes(), 16_u64.to_le_bytes(), (1_u64 << 20).to_le_bytes()].concat());
    assert!(refused.contains("bytes of output, expected at most"), "{refused}");
    // Where an address is not that of the packed form, the call is not made.
    assert_eq!(local.call("kinds.letters", &[&text(8, 1)[..], b"a"].concat()).result, 0x1_0007);
    assert_eq!(local.call("kinds.letters", &[&text(16, 1)[..], &[0xff]].concat()).result, 0x1_0007);
}

#[test]
fn functions_of_one_module_are_compared() {
    let compare = |modules| Request::Compare { modules, input: b"abc", over: 20 };
    for domain in Domain::ALL {
        let local = with("net", domain);
        local.call("net.net_init", b"");
        let answer = local.ask(compare(["net.net_init", "net.packet_handler@^0.1"]));
        let Response::Compared(comparison) = answer else { panic!("{answer:?}") };
        let names = comparison.sides.each_ref().map(|side| (&*side.name, side.measurements));
        assert_eq!(names, [("net.net_init", 20), ("net.packet_handler", 20)]);
        assert_eq!(comparison.difference.as_deref(), Some("results 1 and 3"), "{domain:?}");
        assert_eq!(local.call("net.net_init", b"").calls, 1);
        let Response::Modules(modules) = local.ask(Request::Stats { module: None }) else { panic!() };
        let functions = modules[0].functions.iter().map(|function| (&*function.name, function.call_count));
        assert_eq!(functions.collect::<Vec<_>>(), [("net_init", 2)], "neither profile counts these calls");
        for (second, expected) in
            [("net.none", "no function of that name"), ("net", "no run: the module only exports functions")]
        {
            let said = local.refused(compare(["net.net_init", second]));
            assert!(said.contains(expected), "{said}");
        }
    }
    let said = with("kinds", Domain::Kernel).refused(compare(["kinds.reset", "kinds.count"]));
    assert_eq!(said, "kinds.count: a method, expected a module or a plain function");
}

#[test]
fn functions_share_the_state_of_a_module_without_run() {
    for domain in Domain::ALL {
        let local = with("net", domain);
        assert_eq!(local.call("net.packet_handler", b"abc").result, -1);
        assert_eq!(local.call("net.net_init", b"").result, 0);
        let called = local.call("net.packet_handler", b"abc");
        assert_eq!((called.result, &*called.output), (3, &b"cba"[..]), "{domain:?}");
        let refused = local.refused(Request::Call { module: "net", input: b"", repeat: 1 });
        assert!(refused.ends_with("; it exports net_init, packet_handler"), "{refused}");
    }
}

#[test]
fn runs_call_no_module_without_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let output = bareflow(["host", test_blob("net").to_str().unwrap(), "--batch", "--json", path.to_str().unwrap()]);
    assert_code(&output, 0);
    let shown = text(&output);
    assert!(shown.contains("net only exports functions, so no test calls it"), "{shown}");
    assert!(!shown.contains("[TEST 5]") && !shown.contains("ERROR"), "{shown}");
    let report: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!((&report["total_modules"], &report["passed"]), (&json!(5), &json!(true)));
    assert_eq!(report["modules"][4]["functions"], json!([]));
}

/// Serves modules at a socket, without a kernel.
fn serve(modules: &'static [&str]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        let local = Local::new(LoadOptions::default());
        modules.iter().for_each(|module| drop(local.load(&bytes(module))));
        for mut client in listener.incoming().flatten() {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = client.read(&mut buffer) {
                let _ = client.write_all(&local.exchange(&buffer[..count]));
            }
        }
    });
    (folder, socket)
}

/// Runs a command against a socket. Returns the JSON.
#[track_caller]
fn run(socket: &Path, arguments: &[&str], code: i32) -> Value {
    let json = socket.with_extension("json");
    let common = ["--socket", socket.to_str().unwrap(), "--json", json.to_str().unwrap()];
    let output = bareflow(arguments.iter().copied().chain(common));
    assert_code(&output, code);
    std::fs::read(&json).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap())
}

#[test]
fn methods_are_called_by_json() {
    let (_folder, socket) = serve(&["kinds", "net"]);
    let point = |x, y| json!({"x": x, "y": y, "marks": [{"bits": 1}, {"bits": 2}]});
    for (method, arguments, answer) in [
        ("kinds.signed", json!([-1, -2, -3, i64::MIN + 6]), json!({"ok": i64::MIN})),
        ("kinds.unsigned", json!([1, 0, 0, u64::MAX - 1]), json!({"ok": u64::MAX})),
        ("kinds.floats", json!([0.5, -0.25]), json!({"ok": 0.25})),
        ("kinds.not", json!([false]), json!({"ok": true})),
        ("kinds.upper", json!(["a"]), json!({"ok": "A"})),
        ("kinds.next_colour", json!(["Red"]), json!({"ok": "Green"})),
        ("kinds.letters", json!(["äöü"]), json!({"ok": 3})),
        ("kinds.sum", json!([[5, 6], [point(1, -2), point(3, 4)]]), json!({"ok": 17})),
        ("kinds.weigh", json!([point(1, 2), [10, 20, 30]]), json!({"ok": 66})),
        ("kinds.count", json!([5, [0, 0, 0]]), json!({"ok": null, "outputs": {"words": [5, 6, 7]}})),
        ("kinds.swap", json!([point(3, -4)]), json!({"ok": null, "outputs": {"point": point(-4, 3)}})),
        (
            "kinds.kinds.eight@^0.1",
            json!(["a", [1, 2], [3, 4, 5], [0, 0], [9], {"room": 3}, {"room": 1}, point(6, 7)]),
            json!({"ok": 25, "outputs": {"d": [6, 6], "e": [7], "f": [1, 2], "g": [3]}}),
        ),
    ] {
        let found = run(&socket, &["call", method, &arguments.to_string()], 0);
        assert_eq!((&found["ok"], &found["outputs"]), (&answer["ok"], &answer["outputs"]), "{method} {arguments}");
        assert_eq!((&found["calls"], &found["name"]), (&json!(1), &json!("kinds")));
    }
    let found = run(&socket, &["call", "kinds.fail", "[200]"], 1);
    assert_eq!((&found["error"], &found["ok"]), (&json!("Middle"), &Value::Null));
    assert_eq!(run(&socket, &["call", "kinds.fail", "[258]", "--repeat", "3"], 1)["error"], "Busy");
    assert_eq!(run(&socket, &["call", "kinds.seven"], 0)["ok"], 7);
    assert_eq!(run(&socket, &["call", "net.net_init"], 0)["result"], 0);
    assert_eq!(run(&socket, &["call", "net.packet_handler", "--input", "ab"], 0)["output"], json!([98, 97]));
    let stats = run(&socket, &["stats", "net"], 0);
    let functions = &stats["modules"][0]["functions"];
    assert_eq!((&functions[1]["name"], &functions[1]["call_count"]), (&json!("packet_handler"), &json!(1)));
}

#[test]
fn rejects_arguments_that_are_none() {
    let (_folder, socket) = serve(&["kinds", "net"]);
    for (arguments, code, expected) in [
        (&["kinds.letters"][..], 2, "0 values, expected 1: [text: &str]"),
        (&["kinds.letters", "[7]"], 2, "argument text: 7, expected a text"),
        (&["kinds.letters", "["], 2, "are no JSON"),
        (&["kinds.letters", "--input", "a"], 2, "takes arguments, not an input"),
        (&["net.net_init", "[]"], 2, "takes an input, not arguments such as []"),
        (&["net", "[]"], 2, "takes an input, not arguments"),
        (&["net"], 1, "call one of them; it exports net_init, packet_handler"),
        (&["net.none", "[]"], 1, "no function of that name"),
        (&["net.none"], 1, "no function of that name"),
        (&["none.reset"], 1, "no module of that name is loaded"),
    ] {
        let output = bareflow(
            ["call"].into_iter().chain(arguments.iter().copied()).chain(["--socket", socket.to_str().unwrap()]),
        );
        assert_code(&output, code);
        assert!(errors(&output).contains(expected), "{arguments:?}: {}", errors(&output));
    }
}

#[test]
fn interfaces_are_listed_for_kernels_and_files() {
    let (_folder, socket) = serve(&["kinds", "kinds-user", "echo"]);
    let found = run(&socket, &["interfaces"], 0);
    // The loader's own interfaces come first.
    let all = found["modules"].as_array().unwrap().iter();
    let (own, modules): (Vec<_>, Vec<_>) = all.partition(|module| module["name"] == "loader");
    assert!(own.iter().any(|own| own["exports"][0]["interface"] == "events"), "{own:?}");
    assert_eq!((modules.len(), &modules[0]["name"], &modules[0]["generation"]), (2, &json!("kinds"), &json!(1)));
    assert_eq!(modules[0]["exports"][0]["methods"], json!(["fn reset() -> i32"]));
    let import = &modules[1]["imports"][0];
    assert_eq!(
        (&import["interface"], &import["version"], &import["wanted"]),
        (&json!("kinds"), &json!("1.2"), &json!(""))
    );
    assert_eq!(import["provider"], json!({"name": "kinds", "version": "0.1.0"}));
    let [user, kinds, echo] = ["kinds-user", "kinds", "echo"].map(|name| test_blob(name).to_str().unwrap().to_owned());
    let output = bareflow(["interfaces", &user, &echo]);
    assert_code(&output, 0);
    let begin = "kinds-user 0.1.0\n  imports kinds: kinds 1.2, from any provider\n    fn unsigned(&self, a: u8,";
    assert!(text(&output).starts_with(begin) && !text(&output).contains("echo"), "{}", text(&output));
    let output = bareflow(["inspect", &user]);
    assert!(text(&output).contains("\nInterfaces: 2\n  imports kinds: kinds 1.2, from any provider\n"));
    for (module, has_some) in [(&user, true), (&echo, false)] {
        let output = bareflow(["inspect", module, "--json", "-"]);
        let found: Value = serde_json::from_str(&text(&output)).unwrap();
        assert_eq!((found.get("imports").is_some(), found.get("exports").is_some()), (has_some, has_some));
    }
    assert_code(&bareflow(["interfaces", "diff", &kinds, &kinds]), 0);
    assert_code(&bareflow(["interfaces", "diff", &kinds, "missing.mod"]), 2);
    let output = bareflow(["interfaces", "diff", &kinds, &user, "--json", "-"]);
    assert_code(&output, 1);
    let found: Value = serde_json::from_str(&text(&output)).unwrap();
    assert_eq!(found["breaks"], json!(["reset is gone", "kinds 1.2 is gone"]));
    assert_eq!((&found["added"], &found["needs"]), (&json!(["fail"]), &json!(["kinds: kinds 1.2"])));
}

#[test]
fn examples_call_functions_and_methods() {
    let modules = ["net", "kinds"].map(|name| root().join("tests/modules").join(name));
    let [net, kinds] = modules.each_ref().map(|path| path.to_str().unwrap());
    let output = bareflow(["test", net, kinds]);
    assert_code(&output, 0);
    assert!(text(&output).contains("kinds 0.1.0: 4 examples\n  host    kernel domain  passed"), "{}", text(&output));
    let user = root().join("tests/modules/kinds-user");
    let user = user.to_str().unwrap();
    // The provider is one of those that are tested.
    let output = bareflow(["test", kinds, user, "--bind", "kinds-user.kinds=kinds@^0.1"]);
    assert_code(&output, 0);
    assert!(
        text(&output).contains("kinds-user 0.1.0: 1 example\n  host    kernel domain  passed"),
        "{}",
        text(&output)
    );
    let output = bareflow(["test", user]);
    assert_code(&output, 1);
    assert!(errors(&output).contains("refused: import kinds: no provider"), "{}", errors(&output));
    let output = bareflow(["test", user, "--bind", "kind-user.kinds=kinds"]);
    assert_code(&output, 2);
    assert!(errors(&output).contains("no module kind-user is loaded, so nothing is set"), "{}", errors(&output));
}
