//! Lists of trap sites: which are accepted, and the kinds of faults at them, whatever is called.

use std::collections::BTreeSet;
use std::string::ToString;
use std::vec::Vec;

use bareflow_abi::Reason;
use bareflow_abi::checksum::Crc32c;
use bareflow_abi::header::{FLAG_EXIT, FLAG_INIT, FLAG_MIGRATE, FLAG_STATE};
use bareflow_abi::interface::Shape;
use bareflow_abi::interface::bindings::{Method, NewEntry, Role, encode, encoded_size, function_fingerprint};
use bareflow_abi::record::{BINDINGS, PARAMETERS, STATE_SCHEMA, TRAPS};
use bareflow_abi::traps::{BadTrap, TrapKind, TrapSite, Traps};
use proptest::prelude::*;

use crate::error::{ExecuteError, InvalidModule, LoadError};
use crate::fault::{Fault, FaultKind};
use crate::format::raw::RawModule;
use crate::format::valid::{Capabilities, ValidModule};
use crate::policy::{Domain, FaultPolicy, LoadOptions};
use crate::profile::Timing;
use crate::testing::{FakePlatform, blob, manager};

/// Trap sites at 0 (unreachable) and 5 (division by zero).
const LIST: [u8; 2] = [0x00, 0x55];

/// The fault that the platform reports at the second site, and the loader's name for it.
const REPORTED: Fault = Fault { kind: FaultKind::InvalidOpcode, offset: Some(5), address: None };
const TRAP: Fault = Fault { kind: FaultKind::WasmIntegerDivideByZero, ..REPORTED };

/// A fault at no site.
const OTHER: Fault = Fault { offset: Some(6), ..REPORTED };

fn with_traps(mut bytes: Vec<u8>, flags: u32) -> Vec<u8> {
    blob::change_header(&mut bytes, |header| header.flags |= flags);
    blob::add_record(&mut bytes, TRAPS, &LIST);
    bytes
}

fn validate(bytes: &[u8], cpu_level: u8) -> Result<ValidModule<'_>, InvalidModule> {
    let capabilities = Capabilities { services: u32::MAX, cpu_level, checksum: Crc32c::SOFTWARE };
    ValidModule::validate(RawModule::parse(bytes).unwrap(), capabilities)
}

#[test]
fn each_code_has_a_list_of_its_own() {
    let mut bytes = with_traps(blob::full(), 0);
    blob::add_variant(&mut bytes, 3, |_| {});
    blob::add_record(&mut bytes, TRAPS, &[0x11]);
    for (cpu_level, list) in [(1, &LIST[..]), (2, &LIST), (3, &[0x11]), (4, &[0x11])] {
        assert_eq!(validate(&bytes, cpu_level).unwrap().traps(), list, "v{cpu_level}");
    }
    // A variant without a list does not get that of the code before it.
    let mut bytes = with_traps(blob::full(), 0);
    blob::add_variant(&mut bytes, 3, |_| {});
    assert!(validate(&bytes, 4).unwrap().traps().is_empty());
    assert!(validate(&blob::full(), 4).unwrap().traps().is_empty());
}

#[test]
fn rejects_trap_sites_that_can_not_be() {
    for (list, number, why) in [
        (&b""[..], 1, BadTrap::NoEntry),
        (&[0x80], 1, BadTrap::CutOff),
        (&[0x00, 0x80, 0], 2, BadTrap::Number),
        (&[0x08], 1, BadTrap::Kind),
        (&[0x50, 0x01], 2, BadTrap::Order),
        (&[0x80, 0x01], 1, BadTrap::Place),
    ] {
        let mut bytes = blob::full();
        blob::add_record(&mut bytes, TRAPS, list);
        let error = validate(&bytes, 4).unwrap_err();
        assert_eq!(error, InvalidModule::TrapSite { level: 1, number, why });
        assert_eq!(
            error.to_string(),
            std::format!(
                "bad trap site for x86-64-v1: number {number}: {}, expected known kinds in the order of their \
                 addresses; rebuild the module or copy it again",
                why.what()
            )
        );
    }
    // Those of code that is not placed are checked as well.
    let mut bytes = with_traps(blob::full(), 0);
    blob::add_variant(&mut bytes, 3, |_| {});
    blob::add_record(&mut bytes, TRAPS, &[0x80, 0x01]);
    let error = InvalidModule::TrapSite { level: 3, number: 1, why: BadTrap::Place };
    assert_eq!(validate(&bytes, 1).unwrap_err(), error);
}

#[test]
fn rejects_two_lists_of_trap_sites() {
    let error = validate(&with_traps(with_traps(blob::full(), 0), 0), 1).unwrap_err();
    assert_eq!(error, InvalidModule::TwoTrapLists { level: 1 });
    assert!(error.to_string().starts_with("two lists of trap sites for x86-64-v1, expected one at most; "), "{error}");
    let mut bytes = blob::full();
    blob::add_variant(&mut bytes, 3, |_| {});
    assert_eq!(
        validate(&with_traps(with_traps(bytes, 0), 0), 1).unwrap_err(),
        InvalidModule::TwoTrapLists { level: 3 }
    );
}

#[test]
fn a_trap_of_run_has_its_kind_in_both_domains() {
    for domain in Domain::ALL {
        let platform = FakePlatform { has_user: true, ..FakePlatform::default() };
        let manager = manager(&platform, Timing::Fast);
        let options = LoadOptions { domain, on_fault: FaultPolicy::Restart, ..LoadOptions::default() };
        let id = manager.load_with(&with_traps(blob::small("wasm"), 0), &options).unwrap();
        // Once more after a restart.
        for _ in 0..2 {
            for (reported, expected) in [(REPORTED, TRAP), (OTHER, OTHER)] {
                platform.results.borrow_mut().push_back(Err(reported));
                assert_eq!(manager.execute(id), Err(ExecuteError::Faulted(expected)), "{domain:?}");
                platform.results.borrow_mut().push_back(Err(reported));
                let done = manager.execute_with(id, b"input", &mut []);
                assert_eq!(done, Err(ExecuteError::Faulted(expected)), "{domain:?}");
                platform.results.borrow_mut().push_back(Err(reported));
                let done = manager.batched(id, b"", &mut []).unwrap_err();
                assert_eq!(done, ExecuteError::Faulted(expected), "{domain:?}");
                assert_eq!(manager.stats(id).unwrap().fault, Some(expected), "{domain:?}");
            }
        }
    }
}

#[test]
fn a_trap_of_another_module_is_none_of_this_one() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Fast);
    let [with, without] = [with_traps(blob::small("with"), 0), blob::small("without")];
    let [with, without] = [with, without].map(|bytes| manager.load(&bytes).unwrap());
    for (id, expected) in [(without, REPORTED), (with, TRAP)] {
        platform.results.borrow_mut().push_back(Err(REPORTED));
        assert_eq!(manager.execute(id), Err(ExecuteError::Faulted(expected)));
    }
}

#[test]
fn a_trap_of_init_and_exit_has_its_kind() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Fast);
    let bytes = with_traps(blob::small("wasm"), FLAG_INIT | FLAG_EXIT);
    platform.results.borrow_mut().push_back(Err(REPORTED));
    let error = manager.load(&bytes).unwrap_err();
    assert_eq!(error, LoadError::InitFaulted(TRAP));
    let line = "init faulted: wasm_integer_divide_by_zero at offset 0x5";
    let shown = manager.load_fault(&bytes, &LoadOptions::default(), &error).unwrap().to_string();
    assert!(shown.starts_with(line), "{shown}");
    platform.results.borrow_mut().extend([Ok(0), Err(REPORTED)]);
    let id = manager.load(&bytes).unwrap();
    assert_eq!(manager.unload(id).unwrap().exit_fault, Some(TRAP));
    // A restart calls `init` as well.
    let options = LoadOptions { on_fault: FaultPolicy::Restart, ..LoadOptions::default() };
    platform.results.borrow_mut().extend([Ok(0), Err(OTHER), Err(REPORTED)]);
    let id = manager.load_with(&bytes, &options).unwrap();
    assert_eq!(manager.execute(id), Err(ExecuteError::Faulted(OTHER)));
    assert_eq!(manager.execute(id), Err(ExecuteError::Stopped(TRAP)));
}

#[test]
fn a_trap_while_state_or_parameters_move_has_its_kind() {
    const SCHEMA: [u8; 38] = {
        let field = bareflow_abi::state::Field { name: "all", kind: "bytes", size: 4, fingerprint: 1 };
        bareflow_abi::__private::encode_schema(&[field])
    };
    let platform = FakePlatform { output: &[0; 4], ..FakePlatform::default() };
    let manager = manager(&platform, Timing::Fast);
    let stateful = |minor| {
        let mut bytes = with_traps(blob::version("wasm", 1, minor), FLAG_STATE | FLAG_MIGRATE);
        blob::change_header(&mut bytes, |header| header.bss_size = 4);
        blob::add_record(&mut bytes, STATE_SCHEMA, &SCHEMA);
        bytes
    };
    let options = LoadOptions::default();
    manager.load_with(&stateful(0), &options).unwrap();
    platform.results.borrow_mut().extend([Ok(0), Err(REPORTED)]);
    assert_eq!(manager.replace(&stateful(1), &options).unwrap_err(), LoadError::MigrateFaulted(TRAP));
    platform.results.borrow_mut().push_back(Err(REPORTED));
    assert_eq!(manager.replace(&stateful(1), &options).unwrap_err(), LoadError::SaveFaulted(TRAP));
    assert_eq!(platform.reasons.take(), [Reason::Save, Reason::Migrate, Reason::Save]);

    let mut bytes = with_traps(blob::small("net"), 0);
    blob::add_record(&mut bytes, PARAMETERS, &PARAMETER);
    platform.results.borrow_mut().push_back(Err(REPORTED));
    let error = manager.load_with(&bytes, options.with_parameters(&"net.on=true")).unwrap_err();
    assert_eq!(error, LoadError::ParametersFaulted(TRAP));
}

/// The list of the parameter `on`, a `bool`: type, lengths of name, value and description, then name and default.
const PARAMETER: [u8; 9] = [11, 2, 1, 0, 0, 0, b'o', b'n', 0];

#[test]
fn a_trap_of_a_function_has_its_kind() {
    const FUNCTIONS: NewEntry = NewEntry {
        role: Role::Export,
        name: "",
        interface: "",
        version: (0, 0),
        methods: &[Method { fingerprint: function_fingerprint("first"), shape: Shape::EMPTY }],
    };
    const ENTRIES: &[NewEntry] = &[FUNCTIONS];
    const BYTES: [u8; encoded_size(ENTRIES)] = encode(ENTRIES);
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Fast);
    let mut bytes = with_traps(blob::small("wasm"), 0);
    blob::add_record(&mut bytes, BINDINGS, &BYTES);
    let id = manager.load(&bytes).unwrap();
    let first = manager.function_of(id, "first").unwrap();
    platform.results.borrow_mut().push_back(Err(REPORTED));
    let done = manager.execute_function(first, b"", &mut []).map(|_| ());
    assert_eq!(done.unwrap_err().to_string(), ExecuteError::Faulted(TRAP).to_string());
}

/// Returns the list of these distances and kinds, and its sites.
fn list_of(entries: &[(u32, usize)]) -> (Vec<u8>, Vec<TrapSite>) {
    let (mut bytes, mut sites, mut before) = (Vec::new(), Vec::new(), 0);
    for &(distance, kind) in entries {
        let site = TrapSite { offset: before + distance, kind: TrapKind::ALL[kind] };
        site.encode(before, &mut |part| bytes.extend_from_slice(part));
        sites.push(site);
        before = site.offset;
    }
    (bytes, sites)
}

#[test]
fn a_large_list_takes_less_than_two_bytes_for_each_site() {
    // As many sites as a module of 2.4 MB has, at random.
    let (mut offsets, mut state) = (BTreeSet::new(), 1_u64);
    while offsets.len() < 39_417 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        offsets.insert((state >> 33) as u32 % 2_400_000);
    }
    let (mut size, mut before) = (0, 0);
    for offset in offsets {
        TrapSite { offset, kind: TrapKind::OutOfBoundsMemoryAccess }.encode(before, &mut |part| size += part.len());
        before = offset;
    }
    assert!((70_000..2 * 39_417).contains(&size), "{size}");
}

proptest! {
    #[test]
    fn a_list_is_read_as_it_was_written(
        entries in prop::collection::vec((1..1024_u32, 0..TrapKind::ALL.len()), 1..200),
        place in any::<prop::sample::Index>(),
        offset in any::<u32>(),
    ) {
        let (bytes, sites) = list_of(&entries);
        prop_assert!(Traps::new(&bytes).map(Result::unwrap).eq(sites.iter().copied()));
        let end = sites.last().unwrap().offset;
        prop_assert_eq!(Traps::check(&bytes, end + 1), Ok(()));
        prop_assert_eq!(Traps::check(&bytes, end), Err((sites.len(), BadTrap::Place)));
        let site = place.get(&sites);
        prop_assert_eq!(Traps::find(&bytes, site.offset.into()), Some(site.kind));
        let offset = offset % (end + 2);
        let expected = sites.iter().find(|site| site.offset == offset).map(|site| site.kind);
        prop_assert_eq!(Traps::find(&bytes, offset.into()), expected);
        // Sites that lie less than a kilobyte apart take two bytes, and less than eight bytes apart one.
        let size: usize = entries.iter().map(|&(distance, _)| if distance < 8 { 1 } else { 2 }).sum();
        prop_assert_eq!(bytes.len(), size);
    }

    #[test]
    fn no_list_makes_it_panic(
        list in prop::collection::vec(any::<u8>(), 0..60),
        offset in any::<u64>(),
        text_size in any::<u32>(),
    ) {
        let found = Traps::find(&list, offset);
        if Traps::check(&list, text_size).is_ok() {
            prop_assert!(found.is_none() || offset < u64::from(text_size));
            // Each set of sites has one list.
            let (mut again, mut before) = (Vec::new(), 0);
            for site in Traps::new(&list).flatten() {
                site.encode(before, &mut |part| again.extend_from_slice(part));
                before = site.offset;
            }
            prop_assert_eq!(&again, &list);
        }
        let mut bytes = blob::full();
        blob::add_record(&mut bytes, TRAPS, &list);
        let _ = validate(&bytes, 4);
    }
}
