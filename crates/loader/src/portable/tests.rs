use std::vec::Vec;

use allocator_api2::alloc::Global;
use allocator_api2::vec::Vec as AllocatedVec;
use bareflow_abi::Reason;
use bareflow_abi::carry::{AREA_BYTES, AREA_ELEMENTS, AREA_MEMORY, BadCarry, CARRY_ON_CALL, CarryArea, CarryHeader};
use bareflow_abi::header::FLAG_INIT;
use bareflow_abi::layout::DATA_OFFSET;
use bareflow_abi::leb128;
#[cfg(feature = "memory")]
use bareflow_abi::memory::{MEMORY_NEEDS_WINDOW, MEMORY_PAGE_SIZE, MemoryRecord};
use bareflow_abi::record::CARRY;
use bareflow_engine::Options;

use super::{Compiled, Cost};
use crate::error::{InvalidModule, LoadError};
use crate::fault::{Fault, FaultKind};
use crate::load::state::StateTransfer;
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::name::{Name, Version};
#[cfg(feature = "memory")]
use crate::platform::Platform;
use crate::policy::LoadOptions;
use crate::profile::Timing;
use crate::provenance::{Provenance, digest};
use crate::testing::{FakePlatform, blob, manager};

/// The size of data and bss.
const DATA_BYTES: u32 = 128;

/// The size of the memory before it grows.
const MEMORY_BYTES: u64 = 40;

/// The areas in an image that has them from `at` on: bytes, elements, then the words of the memory.
fn areas(at: u32) -> [CarryArea; 3] {
    [
        CarryArea { offset: at, bytes: 16, kind: AREA_BYTES, limit: 0 },
        CarryArea { offset: at + 16, bytes: 16, kind: AREA_ELEMENTS, limit: 3 },
        CarryArea { offset: at + 32, bytes: 0, kind: AREA_MEMORY, limit: 0 },
    ]
}

pub(super) fn carry_record(flags: u32, areas: &[CarryArea]) -> Vec<u8> {
    let header = CarryHeader { digest: 5, flags, count: areas.len() as u32 };
    header.to_bytes().into_iter().chain(areas.iter().flat_map(CarryArea::to_bytes)).collect()
}

/// Returns a blob with a list of areas. Its memory is the end of its bss, from 48 bytes behind `at` on.
fn blob_with(flags: u32, at: u32, areas: &[CarryArea]) -> Vec<u8> {
    let mut bytes = blob::small("program");
    let mut data = std::vec![0; at as usize + 48];
    let (start, linked) = (at as usize + 32, DATA_OFFSET + u64::from(at) + 48);
    data[start..][..8].copy_from_slice(&linked.to_le_bytes());
    data[start + 8..].copy_from_slice(&MEMORY_BYTES.to_le_bytes());
    let mut fixups = Vec::new();
    leb128::write(DATA_OFFSET + start as u64, &mut |part| fixups.extend_from_slice(part));
    let sizes = (data.len() as u32, fixups.len() as u32);
    bytes.extend([data, fixups].concat());
    blob::change_header(&mut bytes, |header| {
        (header.data_size, header.bss_size, header.flags) = (sizes.0, DATA_BYTES - sizes.0, FLAG_INIT);
        (header.fixup_count, header.fixup_size) = (1, sizes.1);
    });
    blob::add_record(&mut bytes, CARRY, &carry_record(flags, areas));
    bytes
}

/// Returns what `engine` made of `wasm`, which takes [`ModuleManager::compile`] elsewhere.
pub(super) fn compiled(blob: &[u8], engine: &str, wasm: &[u8]) -> Compiled<Global> {
    let mut copy = AllocatedVec::new();
    copy.extend_from_slice(blob);
    let provenance = Provenance {
        engine: Name::new(engine).unwrap(),
        engine_version: Version { major: 1, minor: 0, patch: 0 },
        engine_digest: digest(engine.as_bytes()),
        source_digest: digest(wasm),
        options: Options::DEFAULT,
    };
    Compiled { blob: copy, provenance }
}

/// Returns an image's bytes in the areas that lie from `at` on: those of bytes and elements, and the memory with what is behind it.
fn instance(manager: &Manager<'_>, id: ModuleId, at: usize) -> (Vec<u8>, Vec<u8>) {
    let data = manager.with_image(id, |image| image.data.borrow().clone()).unwrap();
    (data[at..at + 32].to_vec(), data[at + 48..].to_vec())
}

type Manager<'platform> = ModuleManager<&'platform FakePlatform>;

/// Loads a program that was made of `wasm`, with content in its areas, and a memory that has grown to 48 bytes.
fn start(manager: &Manager<'_>, flags: u32) -> ModuleId {
    manager.platform().results.borrow_mut().push_back(Ok(0));
    let blob = compiled(&blob_with(flags, 0, &areas(0)), "slow", b"wasm");
    let id = manager.load_compiled(&blob, &LoadOptions::DEFAULT).unwrap();
    manager.with_image(id, |image| {
        let mut data = image.data.borrow_mut();
        data[..16].fill(0xaa);
        data[16..32].copy_from_slice(&[0_u32, 1, 2, 3].map(u32::to_le_bytes).concat());
        data[40..48].copy_from_slice(&48_u64.to_le_bytes());
        data[48..96].fill(0xbb);
    });
    manager.platform().reasons.borrow_mut().clear();
    id
}

/// Replaces the program by another one, which was made of `wasm` and has its areas elsewhere.
fn switch(manager: &Manager<'_>, wasm: &[u8], areas: &[CarryArea]) -> Result<StateTransfer, LoadError> {
    let next = compiled(&blob_with(0, 8, areas), "fast", wasm);
    manager.replace_compiled(&next, &LoadOptions::DEFAULT).map(|reloaded| reloaded.state)
}

#[test]
fn an_instance_goes_on_where_it_was() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Precise);
    let (before, memory) = instance(&manager, start(&manager, 0), 0);
    assert_eq!(switch(&manager, b"wasm", &areas(8)), Ok(StateTransfer::Carried));
    let id = manager.find("program").unwrap();
    let (after, carried) = instance(&manager, id, 8);
    assert_eq!((after, &carried[..48]), (before, &memory[..48]));
    assert_eq!(carried[48..], [0; 24]);
    let grown = manager.with_image(id, |image| image.data.borrow()[48..56].to_vec());
    assert_eq!(grown.as_deref(), Some(&48_u64.to_le_bytes()[..]));
    // Nothing of the new one was called, and of the old one its end alone, which it does not handle.
    assert_eq!(platform.reasons.take(), []);
    let made = manager.provenance(id).unwrap();
    assert_eq!((made.engine.as_str(), made.source_digest), ("fast", digest(b"wasm")));
}

#[test]
fn an_instance_is_written_where_it_can_be_read_if_the_blob_says_so() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Precise);
    start(&manager, CARRY_ON_CALL);
    platform.results.borrow_mut().push_back(Ok(0));
    assert_eq!(switch(&manager, b"wasm", &areas(8)), Ok(StateTransfer::Carried));
    assert_eq!(platform.reasons.take(), [Reason::Carry]);
}

#[test]
fn a_candidate_takes_over_what_there_is_by_then() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Precise);
    let old = start(&manager, 0);
    let next = compiled(&blob_with(0, 8, &areas(8)), "fast", b"wasm");
    let id = manager.load_compiled_candidate(&next, &LoadOptions::DEFAULT).unwrap();
    assert_eq!(instance(&manager, id, 8).0, instance(&manager, old, 0).0);
    // The candidate was tried out, and its memory has grown meanwhile.
    manager.with_image(id, |image| {
        image.data.borrow_mut()[48..56].copy_from_slice(&60_u64.to_le_bytes());
        image.data.borrow_mut()[56..116].fill(0xdd);
    });
    manager.with_image(old, |image| image.data.borrow_mut()[..16].fill(0xcc)).unwrap();
    assert_eq!(manager.promote(id).unwrap().state, StateTransfer::Carried);
    let (areas, memory) = instance(&manager, id, 8);
    assert_eq!((&areas[..16], &memory[..48]), (&[0xcc; 16][..], &[0xbb; 48][..]));
    assert_eq!(memory[48..], [0; 24]);
    assert_eq!(platform.reasons.take(), []);
}

#[test]
fn another_program_begins_anew() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Precise);
    start(&manager, 0);
    platform.results.borrow_mut().push_back(Ok(0));
    assert_eq!(switch(&manager, b"other wasm", &areas(8)), Ok(StateTransfer::Nothing));
    assert_eq!(platform.reasons.take(), [Reason::Init]);
}

#[test]
fn what_no_engine_made_carries_nothing_and_has_no_origin() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Precise);
    let old = start(&manager, 0);
    assert!(manager.provenance(old).is_some());
    platform.results.borrow_mut().push_back(Ok(0));
    let claims = blob_with(0, 8, &areas(8));
    let reloaded = manager.replace(&claims, &LoadOptions::DEFAULT).unwrap();
    assert_eq!((reloaded.state, manager.provenance(reloaded.id)), (StateTransfer::Nothing, None));
    assert_eq!(platform.reasons.take(), [Reason::Init]);
}

#[test]
fn what_faulted_is_not_carried() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Precise);
    let old = start(&manager, 0);
    let fault = Fault { kind: FaultKind::WasmUnreachable, offset: None, address: None };
    platform.results.borrow_mut().extend([Err(fault), Ok(0)]);
    assert!(manager.execute(old).is_err());
    assert_eq!(switch(&manager, b"wasm", &areas(8)), Ok(StateTransfer::Nothing));
    assert_eq!(platform.reasons.take(), [Reason::Run, Reason::Init]);
}

#[test]
fn rejects_an_instance_that_is_not_what_the_blobs_say() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Precise);
    let old = start(&manager, 0);
    let refused = |areas: &[CarryArea]| match switch(&manager, b"wasm", areas) {
        Err(LoadError::BadInstance { what }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&areas(8)[..2]), "the two blobs differ in its areas");
    let mut fewer = areas(8);
    fewer[1].limit = 2;
    assert_eq!(refused(&fewer), "the two blobs differ in its areas");
    let set = |at: usize, bytes: &[u8]| {
        manager.with_image(old, |image| image.data.borrow_mut()[at..][..bytes.len()].copy_from_slice(bytes)).unwrap();
    };
    set(28, &4_u32.to_le_bytes());
    assert_eq!(refused(&areas(8)), "an element of a table names no function");
    set(28, &3_u32.to_le_bytes());
    // The memory of the new one has less room.
    set(40, &73_u64.to_le_bytes());
    assert_eq!(refused(&areas(8)), UNREACHABLE);
    set(40, &u64::MAX.to_le_bytes());
    assert_eq!(refused(&areas(8)), UNREACHABLE);
    set(40, &48_u64.to_le_bytes());
    set(32, &u64::MAX.to_le_bytes());
    assert_eq!(refused(&areas(8)), UNREACHABLE);
    // The old one is what it was.
    assert_eq!(manager.find("program"), Some(old));
    assert_eq!(platform.images.get(), 1);
}

const UNREACHABLE: &str = "an area of it can't be reached";

#[test]
fn rejects_an_instance_that_is_not_handed_over() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Precise);
    let old = start(&manager, CARRY_ON_CALL);
    platform.results.borrow_mut().push_back(Ok(7));
    assert_eq!(switch(&manager, b"wasm", &areas(8)), Err(LoadError::SaveFailed { result: 7 }));
    let fault = Fault { kind: FaultKind::StackOverflow, offset: None, address: None };
    platform.results.borrow_mut().push_back(Err(fault));
    assert_eq!(switch(&manager, b"wasm", &areas(8)), Err(LoadError::SaveFaulted(fault)));
    // It counts as a fault in any call.
    let profile = manager.stats(old).unwrap();
    assert_eq!((profile.faults, profile.stopped), (1, true));
    assert_eq!(manager.find("program"), Some(old));
}

#[test]
fn rejects_bad_lists_of_areas() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Precise);
    let refused = |blob: &[u8]| manager.load(blob).unwrap_err();
    let mut beyond = areas(0);
    beyond[0].offset = DATA_BYTES - 15;
    let bad = LoadError::Invalid(InvalidModule::Carry { why: BadCarry::Place });
    assert_eq!(refused(&blob_with(0, 0, &beyond)), bad);
    let mut twice = blob_with(0, 0, &areas(0));
    blob::add_record(&mut twice, CARRY, &carry_record(0, &[]));
    assert_eq!(refused(&twice), LoadError::Invalid(InvalidModule::TwoCarries));
}

#[test]
fn the_cost_of_a_module_is_that_of_all_its_calls() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Precise);
    let options = LoadOptions { sample_every: 4.try_into().unwrap(), ..LoadOptions::DEFAULT };
    let id = manager.load_with(&blob::small("program"), &options).unwrap();
    assert_eq!(manager.cost(id), Some(Cost::default()));
    for _ in 0..8 {
        manager.execute(id).unwrap();
    }
    // Each takes ten cycles, and one in four is timed.
    assert_eq!(manager.cost(id), Some(Cost { calls: 8, cycles: 80 }));
    manager.unload(id).unwrap();
    assert_eq!(manager.cost(id), None);
}

/// Returns a blob like [`blob_with`]'s whose memory is a linear memory of one page at first, and four at most.
#[cfg(feature = "memory")]
fn blob_with_window(at: u32) -> Vec<u8> {
    let mut bytes = blob::small("program");
    blob::change_header(&mut bytes, |header| (header.bss_size, header.flags) = (DATA_BYTES, FLAG_INIT));
    let record = MemoryRecord { words: at + 32, initial_pages: 1, maximum_pages: 4, flags: MEMORY_NEEDS_WINDOW };
    blob::add_record(&mut bytes, bareflow_abi::record::MEMORY, &record.to_bytes());
    blob::add_record(&mut bytes, CARRY, &carry_record(0, &areas(at)));
    bytes
}

#[cfg(feature = "memory")]
#[test]
fn a_linear_memory_goes_on_as_large_as_it_was() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Precise);
    platform.results.borrow_mut().push_back(Ok(0));
    let slow = compiled(&blob_with_window(0), "slow", b"wasm");
    let old = manager.load_compiled(&slow, &LoadOptions::DEFAULT).unwrap();
    let bytes = |id| manager.with_image(id, |image| image.memory.as_ref().unwrap().1.borrow().clone()).unwrap();
    manager.with_image(old, |image| {
        assert_eq!((&platform).grow_memory(image, 2), 1);
        let mut memory = image.memory.as_ref().unwrap().1.borrow_mut();
        (0..).zip(memory.iter_mut()).for_each(|(at, byte): (u32, _)| *byte = (at >> 8) as u8 ^ at as u8);
    });
    let (before, page) = (bytes(old), MEMORY_PAGE_SIZE);
    let fast = compiled(&blob_with_window(8), "fast", b"wasm");
    // What does not fit is refused, and the old one goes on.
    platform.memory_left.set(3 * page - 1);
    assert_eq!(manager.replace_compiled(&fast, &LoadOptions::DEFAULT).unwrap_err(), LoadError::NoMemoryForState);
    assert_eq!((platform.memory_left.get(), manager.find("program")), (3 * page - 1, Some(old)));
    platform.memory_left.set(3 * page);
    let reloaded = manager.replace_compiled(&fast, &LoadOptions::DEFAULT).unwrap();
    assert_eq!((reloaded.state, bytes(reloaded.id) == before), (StateTransfer::Carried, true));
    let words = manager.with_image(reloaded.id, |image| {
        let data = image.data.borrow();
        ([40, 48].map(|at| u64::from_le_bytes(data[at..at + 8].try_into().unwrap())), image.memory_base())
    });
    assert_eq!(words.map(|(words, base)| words == [base, 3 * page]), Some(true));
    // The old one gave back what it had.
    assert_eq!(platform.memory_left.get(), 3 * page);
}

#[cfg(feature = "memory")]
#[test]
fn rejects_a_linear_memory_of_a_size_that_can_not_be() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Precise);
    platform.results.borrow_mut().push_back(Ok(0));
    let slow = compiled(&blob_with_window(0), "slow", b"wasm");
    let old = manager.load_compiled(&slow, &LoadOptions::DEFAULT).unwrap();
    let fast = compiled(&blob_with_window(8), "fast", b"wasm");
    for (length, what) in [
        (MEMORY_PAGE_SIZE - 1, "its memory is smaller than the one that it would go on in"),
        (MEMORY_PAGE_SIZE + 1, "its memory is not of whole pages"),
    ] {
        // The module may write anything over its words.
        manager.with_image(old, |image| image.data.borrow_mut()[40..48].copy_from_slice(&length.to_le_bytes()));
        let error = manager.replace_compiled(&fast, &LoadOptions::DEFAULT).unwrap_err();
        assert_eq!(error, LoadError::BadInstance { what });
    }
    // More than there may be, and more than there is.
    let unreachable = LoadError::BadInstance { what: "an area of it can't be reached" };
    for (length, expected) in [(1 << 32, LoadError::NoMemoryForState), (2 * MEMORY_PAGE_SIZE, unreachable)] {
        manager.with_image(old, |image| image.data.borrow_mut()[40..48].copy_from_slice(&u64::to_le_bytes(length)));
        let error = manager.replace_compiled(&fast, &LoadOptions::DEFAULT).unwrap_err();
        assert_eq!(error, expected, "{length:#x}");
    }
    assert_eq!(manager.find("program"), Some(old));
}
