//! Imports that are bound as a load says: on the host, at the start of a server, and by its clients.

mod common;

use std::fs;

use bareflow_abi::interface::bindings::{Entries, Role};
use bareflow_host::SystemRandom;
use bareflow_loader::LoadOptions;
use bareflow_protocol::report::BoundImport;
use bareflow_protocol::{Request, Response};
use bareflow_random::Random;
use common::mutate::renamed;
use common::server::{Local, refusal};
use common::{assert_code, bareflow, errors, test_blob, text};

/// The provider `kinds` under another name.
fn provider(name: &str) -> Vec<u8> {
    renamed("kinds", name, (1, 2, 0))
}

fn user() -> Vec<u8> {
    fs::read(test_blob("kinds-user")).unwrap()
}

fn push(local: &Local, blob: &[u8], lines: &str) -> Response {
    local.push(blob, |push| push.overrides.parameters = lines)
}

fn imports(local: &Local) -> Vec<String> {
    let Response::Modules(modules) = local.ask(Request::Ps) else { panic!("no list") };
    modules.iter().flat_map(|module| &module.imports).map(BoundImport::to_string).collect()
}

#[test]
fn clients_bind_imports_and_reloads_keep_them() {
    let local = Local::new(LoadOptions::default());
    for name in ["disk", "tape"] {
        assert!(matches!(push(&local, &provider(name), ""), Response::Loaded(_)));
    }
    let several = refusal(push(&local, &user(), ""));
    assert!(several.contains("several providers"), "{several}");
    for (line, provider) in
        [("bind kinds-user.kinds=tape@^1", "tape"), ("", "tape"), ("bind kinds-user.kinds=disk", "disk")]
    {
        let answer = push(&local, &user(), line);
        assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
        assert_eq!(imports(&local), [format!("kinds={provider}@1.2.0")]);
        assert_eq!(local.call("kinds-user", b"").result, 0);
    }
    let refused = |line: &str| refusal(push(&local, &user(), line));
    let unknown = "unknown import: kind; bind one that the module has, see `inspect` (it has kinds)";
    assert_eq!(refused("bind kinds-user.kind=disk"), unknown);
    assert_eq!(
        refused("bind disk.kinds=tape"),
        "bind disk.kinds=tape: the blob is of kinds-user, expected kinds-user.IMPORT"
    );
    let missing = refused("bind kinds-user.kinds=drum");
    assert!(
        missing.starts_with("import kinds: its provider drum is not loaded in a version that it asks for; load one")
    );
    assert!(missing.contains("disk 1.2.0 exports kinds 1.2, tape 1.2.0 exports kinds 1.2"), "{missing}");
    assert!(refused("bind kinds-user.kinds=Disk").starts_with("kinds: \"Disk\", expected a provider's name"));
    assert_eq!(imports(&local), ["kinds=disk@1.2.0"], "a refusal changes nothing");
}

#[test]
fn a_module_waits_at_the_start_for_what_it_is_bound_to() {
    let Local { server, .. } = Local::new(LoadOptions::default());
    let server = server.with_parameters("bind kinds-user.kinds=tape@^1\n");
    let mut second = user();
    second = common::mutate::with_header(&second, |header| header.name[..10].copy_from_slice(b"other-user"));
    for (name, blob) in [("user", user()), ("disk", provider("disk")), ("other", second), ("tape", provider("tape"))] {
        server.load_at_startup(name, blob.leak());
    }
    server.refuse_pending();
    let loaded = server.manager().profiles().map(|profile| profile.name.to_string()).collect::<Vec<_>>();
    assert_eq!(loaded.len(), 4, "{loaded:?}\n{}", server.environment().console.borrow());
    let alone = Local::new(LoadOptions::default()).server;
    alone.load_at_startup("user", user().leak());
    alone.load_at_startup("disk", renamed("echo", "disk", (1, 0, 0)).leak());
    alone.refuse_pending();
    let console = alone.environment().console.borrow();
    assert!(
        console.contains("[ERROR] user: import kinds: no provider: nothing that is loaded exports kinds 1.2; load"),
        "{console}"
    );
}

#[test]
fn a_module_waits_at_the_start_for_any_provider() {
    let Local { server, .. } = Local::new(LoadOptions::default());
    for (name, blob, loaded) in [("user", user(), 0), ("disk", provider("disk"), 2)] {
        server.load_at_startup(name, blob.leak());
        assert_eq!(server.manager().profiles().count(), loaded, "{}", server.environment().console.borrow());
    }
}

#[test]
fn a_module_waits_at_the_start_for_the_version_that_it_asks_for() {
    let server = Local::new(LoadOptions::default()).server.with_parameters("bind kinds-user.kinds=tape@^2\n");
    let loads = |name: &str, blob: Vec<u8>| {
        server.load_at_startup(name, blob.leak());
        server.manager().profiles().count()
    };
    assert_eq!(loads("user", user()), 0);
    assert_eq!(loads("tape", provider("tape")), 1);
    assert_eq!(loads("disk", provider("disk")), 2);
    server.manager().replace(&renamed("kinds", "tape", (2, 0, 0)), &LoadOptions::default()).unwrap();
    assert_eq!(loads("drum", provider("drum")), 4);
}

#[test]
fn the_command_line_binds_them_on_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(format!("{name}.mod"));
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let files = [write("user", &user()), write("disk", &provider("disk")), write("tape", &provider("tape"))];
    let host = |bind: &str| {
        let words = ["host"].into_iter().chain(files.iter().map(String::as_str));
        bareflow(words.chain(["--bind", bind]).collect::<Vec<_>>())
    };
    let output = host("kinds-user.kinds=tape");
    assert_code(&output, 0);
    assert!(text(&output).contains("  Imports:       kinds=tape@1.2.0\n"), "{}", text(&output));
    let output = host("kinds-user.kinds=drum");
    assert_code(&output, 1);
    assert!(errors(&output).contains("its provider drum is not loaded"), "{}", errors(&output));
    let output = host("kinds=tape");
    assert_code(&output, 2);
    assert!(errors(&output).contains("\"kinds=tape\" binds no import, expected MODULE.IMPORT=PROVIDER"));
}

#[test]
fn the_interfaces_of_the_kernel_itself_are_listed() {
    let local = Local::new(LoadOptions::default());
    local.server.manager().provide_on_first_import(|manager| {
        manager.provide::<dyn Random, _>("kernel", SystemRandom).unwrap();
    });
    assert!(matches!(push(&local, &user(), ""), Response::Refused(_)));
    assert!(matches!(push(&local, &fs::read(test_blob("random")).unwrap(), ""), Response::Loaded(_)));
    assert_eq!(imports(&local), ["random=kernel"]);
    let Response::Interfaces(found) = local.ask(Request::Interfaces { module: None }) else { panic!("no list") };
    // The loader's own interfaces lie between the two.
    let [kernel, own @ .., user] = &found[..] else { panic!("{found:?}") };
    assert!(own.iter().all(|own| own.name == "loader" && own.version.is_empty()), "{own:?}");
    assert_eq!((&*kernel.name, &*kernel.version, &*user.name), ("kernel", "", "random"));
    let exported = Entries::new(&kernel.bindings).next().unwrap();
    let imported = Entries::new(&user.bindings).next().unwrap();
    assert_eq!((exported.role, exported.interface, exported.version), (Role::Export, "random", imported.version));
    assert!(Entries::check(&kernel.bindings).is_ok() && exported.methods().eq(imported.methods()));
    assert!(user.signatures.starts_with(&kernel.signatures), "{user:?}");
    let Response::Interfaces(one) = local.ask(Request::Interfaces { module: Some("random") }) else {
        panic!("no list")
    };
    assert_eq!(one.len(), 1);
}
