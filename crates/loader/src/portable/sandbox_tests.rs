//! The sandbox, on a platform that executes nothing.

use std::vec;
use std::vec::Vec;

use bareflow_abi::ABI_MINOR;
use bareflow_abi::carry::{self, CarryArea};
use bareflow_abi::fingerprint::FINGERPRINT;
use bareflow_abi::interface::bindings::{NewEntry, encode, encoded_size};
use bareflow_abi::memory::MemoryRecord;
use bareflow_abi::record::{BINDINGS, CARRY, MEMORY};
use bareflow_engine::Engine;

use super::Sandbox;
use super::tests::{carry_record, compiled};
use crate::error::LoadError;
use crate::manager::ModuleManager;
use crate::policy::{Domain, LoadOptions};
use crate::profile::Timing;
use crate::provenance::digest;
use crate::testing::{FakePlatform, blob, manager};

/// Returns the sandbox that trusts one engine, whose blob is `engine`.
#[expect(unsafe_code, reason = "nothing is run")]
fn trusting(engine: &[u8]) -> Sandbox {
    // SAFETY: the images of these tests are never executed.
    let sandbox = unsafe { Sandbox::trust([&blob::small("none")[..], engine]) };
    assert_ne!(sandbox, Sandbox::EMPTY, "an engine is known by what it exports");
    sandbox
}

/// The interface of engines, exported.
const EXPORT: [NewEntry; 1] = [NewEntry::of::<dyn Engine>("")];
const RECORD: [u8; encoded_size(&EXPORT)] = encode(&EXPORT);

/// Returns a blob that exports the interface of engines.
fn engine() -> Vec<u8> {
    let mut bytes = blob::small("compiler");
    blob::add_record(&mut bytes, BINDINGS, &RECORD);
    bytes
}

#[test]
fn only_guarded_code_of_a_trusted_engine_has_the_embedders_privileges() {
    let (engine, program) = (engine(), blob::small("program"));
    let made = |digest_of: &[u8], spectre_guard| {
        let mut made = compiled(&program, "compiler", b"wasm");
        made.provenance.engine_digest = digest(digest_of);
        made.provenance.options.spectre_guard = spectre_guard;
        made
    };
    let other = [&engine[..], b"."].concat();
    let sandboxed = LoadOptions { domain: Domain::Sandbox, ..LoadOptions::DEFAULT };
    for (sandbox, made, expected) in [
        (Sandbox::EMPTY, Some(made(&engine, 1)), Domain::User),
        (trusting(&engine), Some(made(&engine, 1)), Domain::Sandbox),
        (trusting(&engine), Some(made(&engine, 0)), Domain::User),
        (trusting(&engine).with_guard(false), Some(made(&engine, 0)), Domain::Sandbox),
        (trusting(&engine).with_guard(false), Some(made(&other, 1)), Domain::User),
        (trusting(&engine).with_guard(false), None, Domain::User),
    ] {
        let platform = FakePlatform { has_user: true, ..FakePlatform::default() };
        let manager = manager(&platform, Timing::Precise);
        manager.permit_sandbox(sandbox);
        let id = match &made {
            Some(made) => manager.load_compiled(made, &sandboxed).unwrap(),
            None => manager.load_with(&program, &sandboxed).unwrap(),
        };
        assert_eq!(manager.stats(id).unwrap().domain, expected, "{sandbox:?}");
        assert_eq!(manager.options(id).unwrap().domain, Domain::Sandbox);
    }
}

#[test]
fn a_blob_that_says_more_than_an_engine_would_stays_out() {
    let engine = engine();
    let sandboxed = LoadOptions { domain: Domain::Sandbox, ..LoadOptions::DEFAULT };
    let memory = |words| MemoryRecord { words, initial_pages: 1, maximum_pages: 1, flags: 0 }.to_bytes();
    let areas = carry_record(0, &[CarryArea { offset: 0, bytes: 0, kind: carry::AREA_MEMORY, limit: 0 }]);
    for (records, expected) in [
        (vec![], Domain::Sandbox),
        (vec![(CARRY, &areas[..]), (MEMORY, &memory(0))], Domain::Sandbox),
        (vec![(CARRY, &areas[..]), (MEMORY, &memory(48))], Domain::User),
        (vec![(MEMORY, &memory(0)[..])], Domain::User),
    ] {
        let mut bytes = blob::small("program");
        blob::change_header(&mut bytes, |header| (header.bss_size, header.abi_minor) = (64, ABI_MINOR));
        blob::change_header(&mut bytes, |header| header.abi_fingerprint = FINGERPRINT);
        records.iter().for_each(|(kind, record)| blob::add_record(&mut bytes, *kind, record));
        let mut made = compiled(&bytes, "compiler", b"wasm");
        made.provenance.engine_digest = digest(&engine);
        let platform = FakePlatform { has_user: true, ..FakePlatform::default() };
        let manager = manager(&platform, Timing::Precise);
        manager.permit_sandbox(trusting(&engine));
        let id = manager.load_compiled(&made, &sandboxed).unwrap();
        assert_eq!(manager.stats(id).unwrap().domain, expected, "{records:?}");
    }
}

#[test]
fn the_sandbox_needs_no_permission_for_all_blobs() {
    let engine = engine();
    let mut made = compiled(&blob::small("program"), "compiler", b"wasm");
    made.provenance.engine_digest = digest(&engine);
    let platform = FakePlatform::default();
    let manager = ModuleManager::new(&platform, Timing::Precise);
    let sandboxed = LoadOptions { domain: Domain::Sandbox, ..LoadOptions::DEFAULT };
    assert_eq!(manager.load_compiled(&made, &sandboxed), Err(LoadError::NoSuchDomain(Domain::User)));
    manager.permit_sandbox(trusting(&engine));
    let id = manager.load_compiled(&made, &sandboxed).unwrap();
    assert_eq!(manager.stats(id).unwrap().domain, Domain::Sandbox);
    assert_eq!(manager.load(&blob::small("other")), Err(LoadError::NoKernelDomain));
}

#[cfg(feature = "supervision")]
#[test]
fn what_is_trusted_for_its_bytes_is_restarted_from_those_alone() {
    use crate::error::RestartError;

    let (engine, program) = (engine(), blob::small("program"));
    let mut made = compiled(&program, "compiler", b"wasm");
    made.provenance.engine_digest = digest(&engine);
    let platform = FakePlatform { has_user: true, ..FakePlatform::default() };
    let manager = manager(&platform, Timing::Precise);
    manager.permit_sandbox(trusting(&engine));
    let sandboxed = LoadOptions { domain: Domain::Sandbox, ..LoadOptions::DEFAULT };
    let compiled = manager.load_compiled(&made, &sandboxed).unwrap();
    let engine_id = manager.load_with(&engine, &sandboxed).unwrap();
    for (id, own) in [(compiled, &program), (engine_id, &engine)] {
        // Name, version and length are the same.
        let mut other = own.clone();
        blob::change_header(&mut other, |header| header.time_us += 1);
        assert_eq!(manager.restart(id, Some(&other)), Err(RestartError::OtherBlob));
        assert_eq!(manager.restart(id, Some(own)), Ok(()));
    }
}
