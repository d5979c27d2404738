//! Functions and methods of modules that clients call, on the host's platform and through the server.

mod common;

use bareflow_loader::{Domain, LoadOptions};
use bareflow_protocol::{Request, Response};
use common::server::Local;
use common::test_blob;

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
