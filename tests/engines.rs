//! The loader's calls of engines: of one that does what it should, and of one that does not.

mod common;

use std::fs;

use allocator_api2::alloc::Global;
use bareflow_host::HostPlatform;
use bareflow_loader::allocator_api2;
use bareflow_loader::portable::Compiled;
use bareflow_loader::portable::engine::{Options, WASM_MARK};
use bareflow_loader::{
    Budget, Domain, FaultPolicy, KernelDomain, LoadOptions, ModuleId, ModuleManager, StateTransfer, Timing,
};
use common::mutate::carrying;
use common::test_blob;
use sham_engine::{BOASTS, HONEST, IS_SILENT, PANICS, PRETENDS, REFUSES, SHORT, SPINS};

type Manager = ModuleManager<HostPlatform>;

/// Returns a manager with the engine in a domain.
fn with_engine(domain: Domain) -> Manager {
    let platform = HostPlatform::new(Box::new(|line| println!("{line}"))).unwrap();
    // SAFETY: all blobs are of this workspace.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    let manager = ModuleManager::with_kernel_domain(platform, Timing::Fast, trusted);
    let limits = Budget { time_us: 300_000, ..Budget::LIMITS };
    let options = LoadOptions { domain, limits, on_fault: FaultPolicy::Restart, ..LoadOptions::DEFAULT };
    manager.load_with(&fs::read(test_blob("sham-engine")).unwrap(), &options).unwrap();
    manager
}

fn compile(manager: &Manager, mode: u8, rest: &[u8]) -> Result<Compiled<Global>, String> {
    let wasm = [&WASM_MARK[..], &[mode], rest].concat();
    manager.compile("sham-engine", &Options::DEFAULT, "x", &wasm).map_err(|error| error.to_string())
}

#[test]
fn what_an_engine_made_is_loaded_with_its_origin() {
    for domain in Domain::ALL {
        let manager = with_engine(domain);
        // More than one piece.
        let large = vec![7; 300 << 10];
        assert_eq!(compile(&manager, HONEST, &large).unwrap().blob(), large, "{domain:?}");
        let sum = fs::read(common::blob("sum")).unwrap();
        let compiled = compile(&manager, HONEST, &sum).unwrap();
        let id = manager.load_compiled(&compiled, &LoadOptions::DEFAULT).unwrap();
        assert_eq!(manager.execute(id).unwrap(), 5050);
        let origin = manager.provenance(id).unwrap();
        assert_eq!((origin.engine.as_str(), origin.options), ("sham-engine", Options::DEFAULT));
        assert_eq!(origin.engine_digest, *blake3::hash(&fs::read(test_blob("sham-engine")).unwrap()).as_bytes());
        // The same bytes from elsewhere have none.
        let reloaded = manager.replace(compiled.blob(), &LoadOptions::DEFAULT).unwrap();
        assert_eq!(manager.provenance(reloaded.id), None);
    }
}

#[test]
fn an_engine_that_goes_wrong_harms_nobody() {
    for domain in Domain::ALL {
        let manager = with_engine(domain);
        let refused = |mode| compile(&manager, mode, b"blob").map(|_| ()).unwrap_err();
        let engine = "engine sham-engine";
        let no_answer = "; see `log` for its fault, raise its budget (`--budget`), or use another engine";
        for _ in 0..2 {
            assert_eq!(
                refused(SHORT),
                format!("{engine} made a blob of 5 bytes and handed over 4; use another engine")
            );
            assert_eq!(refused(REFUSES), format!("{engine}: function 7 is not to its taste"));
            assert_eq!(
                refused(IS_SILENT),
                format!("{engine}: it does not say why it refuses the module; use another engine")
            );
            assert_eq!(refused(PANICS), format!("{engine}: Faulted{no_answer}"));
            assert_eq!(refused(PRETENDS), format!("{engine}: Busy{no_answer}"));
            assert_eq!(refused(SPINS), format!("{engine}: OutOfTime{no_answer}"));
            let boast = refused(BOASTS);
            assert!(boast.starts_with("no memory for a blob of 18446744073709551615 bytes; "), "{boast}");
        }
        assert!(compile(&manager, HONEST, &fs::read(common::blob("sum")).unwrap()).is_ok());
        let garbage = compile(&manager, HONEST, b"garbage").unwrap();
        assert!(manager.load_compiled(&garbage, &LoadOptions::DEFAULT).is_err());
        assert_eq!(manager.ids().count(), 1);
    }
}

#[test]
fn only_an_engine_compiles() {
    let manager = with_engine(Domain::Kernel);
    manager.load(&fs::read(common::blob("sum")).unwrap()).unwrap();
    let error = |engine| manager.compile(engine, &Options::DEFAULT, "x", &WASM_MARK).unwrap_err().to_string();
    assert!(error("sum").starts_with("engine sum: "), "{}", error("sum"));
    assert!(error("none").starts_with("engine none: "), "{}", error("none"));
    assert!(error("no name").starts_with("the engine's name is none"), "{}", error("no name"));
}

/// Returns the module `counter`, which counts its calls in its data, with all of its data as an area that is carried.
fn counter(manager: &Manager) -> Compiled<Global> {
    compile(manager, HONEST, &carrying(&fs::read(test_blob("counter")).unwrap())).unwrap()
}

#[test]
fn an_instance_is_carried_between_all_domains() {
    let calls = |manager: &Manager, id: ModuleId| manager.execute(id).unwrap();
    for from in Domain::ALL {
        for to in Domain::ALL {
            let manager = with_engine(Domain::Kernel);
            let compiled = counter(&manager);
            let options = |domain| LoadOptions { domain, ..LoadOptions::DEFAULT };
            let id = manager.load_compiled(&compiled, &options(from)).unwrap();
            let first = calls(&manager, id);
            assert_eq!(calls(&manager, id), first + 1);
            let reloaded = manager.replace_compiled(&compiled, &options(to)).unwrap();
            assert_eq!(reloaded.state, StateTransfer::Carried, "{from:?} to {to:?}");
            assert_eq!(calls(&manager, reloaded.id), first + 2, "{from:?} to {to:?}");
        }
    }
}
