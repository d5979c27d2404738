//! Modules that use each other by interfaces, on the host's platform and through the server.

mod common;

use bareflow_loader::{Domain, LoadOptions};
use bareflow_protocol::Response;
use common::mutate::bound;
use common::server::Local;
use common::test_blob;

fn bytes(module: &str) -> Vec<u8> {
    std::fs::read(test_blob(module)).unwrap()
}

/// Loads a blob into a domain.
#[track_caller]
fn load_into(local: &Local, domain: Domain, blob: &[u8]) {
    let answer = local.push(blob, |push| push.overrides.domain = Some(domain.name()));
    assert!(matches!(answer, Response::Loaded(_)), "{answer:?}");
}

#[test]
fn all_kinds_of_arguments_cross_between_all_domains() {
    for user in Domain::ALL {
        for provider in Domain::ALL {
            let local = Local::new(LoadOptions::default());
            load_into(&local, provider, &bytes("kinds"));
            load_into(&local, user, &bytes("kinds-user"));
            assert_eq!(local.call("kinds-user", b"").result, 0, "{user:?} {provider:?}");
        }
    }
}

#[test]
fn a_provider_that_uses_another_passes_all_kinds_on() {
    for domains in [[Domain::Kernel; 3], [Domain::User; 3], [Domain::User, Domain::Kernel, Domain::User]] {
        let local = Local::new(LoadOptions::default());
        let blobs = [bytes("kinds"), bytes("kinds-relay"), bound(&bytes("kinds-user"), "kinds-relay")];
        for (domain, blob) in domains.into_iter().zip(&blobs) {
            load_into(&local, domain, blob);
        }
        assert_eq!(local.call("kinds-user", b"").result, 0, "{domains:?}");
    }
}
