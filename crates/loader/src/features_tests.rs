//! The loader without its features: `cargo test -p bareflow-loader --no-default-features --lib`.

use bareflow_abi::record::{DEPENDENCIES, TRAPS};

use crate::error::{ExecuteError, InvalidModule, LoadError};
use crate::fault::{Fault, FaultKind};
use crate::policy::{FaultPolicy, LoadOptions};
use crate::profile::Timing;
use crate::testing::{FakePlatform, blob, manager};

#[test]
fn rejects_a_module_that_calls_others() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Fast);
    let error = manager.load(&blob::depending("sort", 1, 0, &[("sum", 1, 2)])).unwrap_err();
    assert_eq!(error, LoadError::Invalid(InvalidModule::UnknownRecord { found: DEPENDENCIES }));
}

#[test]
fn places_the_code_that_runs_on_any_processor() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Fast);
    let id = manager.load(&blob::with_variant(2, |_| ())).unwrap();
    assert_eq!(manager.stats(id).unwrap().cpu_level, 1);
}

#[test]
fn stops_what_would_be_restarted() {
    const FAULT: Fault = Fault { kind: FaultKind::Divide, offset: Some(0), address: None };
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Fast);
    let options = LoadOptions { on_fault: FaultPolicy::Restart, ..LoadOptions::default() };
    let id = manager.load_with(&blob::full(), &options).unwrap();
    platform.results.borrow_mut().push_back(Err(FAULT));
    assert!(manager.execute(id).is_err() && manager.stats(id).unwrap().stopped);
}

#[test]
fn leaves_a_trap_the_kind_of_the_processor() {
    const FAULT: Fault = Fault { kind: FaultKind::InvalidOpcode, offset: Some(0), address: None };
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Fast);
    let mut bytes = blob::full();
    // Even a list that can't be read is skipped.
    blob::add_record(&mut bytes, TRAPS, &[0x00, 0xff]);
    let id = manager.load(&bytes).unwrap();
    platform.results.borrow_mut().push_back(Err(FAULT));
    assert_eq!(manager.execute(id), Err(ExecuteError::Faulted(FAULT)));
}
