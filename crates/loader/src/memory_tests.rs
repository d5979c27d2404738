//! Linear memories: which records are accepted, what the platform is asked for, and what the module finds in its words.

use std::string::ToString;
use std::vec::Vec;

use bareflow_abi::memory::{BadMemory, CANNOT_GROW, MEMORY_NEEDS_WINDOW, MEMORY_PAGE_SIZE, MemoryRecord};
use bareflow_abi::record::MEMORY;

use crate::error::{InvalidModule, LoadError};
use crate::fault::{Fault, FaultKind};
use crate::manager::ModuleManager;
use crate::module::ModuleId;
use crate::policy::budget::Budget;
use crate::policy::{FaultPolicy, LoadOptions};
use crate::profile::Timing;
use crate::testing::{FakePlatform, blob, manager};

/// The record in a blob with 40 bytes of data and bss.
const RECORD: MemoryRecord = MemoryRecord { words: 24, initial_pages: 2, maximum_pages: 4, flags: MEMORY_NEEDS_WINDOW };

fn with(record: &MemoryRecord) -> Vec<u8> {
    let mut bytes = blob::full();
    blob::add_record(&mut bytes, MEMORY, &record.to_bytes());
    bytes
}

fn invalid(bytes: &[u8]) -> InvalidModule {
    let platform = FakePlatform::default();
    match manager(&platform, Timing::Fast).load(bytes) {
        Err(LoadError::Invalid(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// Returns the words of a module.
fn words(manager: &ModuleManager<&FakePlatform>, id: ModuleId) -> [u64; 2] {
    let words = manager.with_image(id, |image| {
        let data = image.data.borrow();
        [24, 32].map(|at| u64::from_le_bytes(data[at..at + 8].try_into().unwrap()))
    });
    words.unwrap()
}

#[test]
fn rejects_a_memory_that_can_not_be() {
    for (bad, why) in [
        (MemoryRecord { words: 25, ..RECORD }, BadMemory::Words),
        (MemoryRecord { words: u32::MAX, ..RECORD }, BadMemory::Words),
        (MemoryRecord { initial_pages: 5, ..RECORD }, BadMemory::Initial),
        (MemoryRecord { maximum_pages: 65_537, ..RECORD }, BadMemory::Maximum),
        (MemoryRecord { flags: 2, ..RECORD }, BadMemory::Flags),
    ] {
        assert_eq!(invalid(&with(&bad)), InvalidModule::Memory { why }, "{bad:?}");
    }
    let mut bytes = blob::full();
    blob::add_record(&mut bytes, MEMORY, &RECORD.to_bytes()[..15]);
    let error = invalid(&bytes);
    assert_eq!(error, InvalidModule::Memory { why: BadMemory::Size });
    assert!(error.to_string().starts_with("bad linear memory: the record does not have 16 bytes, expected two words"));
}

#[test]
fn rejects_two_memories() {
    let mut bytes = with(&RECORD);
    blob::add_record(&mut bytes, MEMORY, &RECORD.to_bytes());
    assert_eq!(invalid(&bytes), InvalidModule::TwoMemories);
}

#[cfg(feature = "variants")]
#[test]
fn rejects_words_beyond_the_data_of_a_variant() {
    let mut bytes = with(&RECORD);
    blob::add_variant(&mut bytes, 3, |header| header.bss_size = 0);
    // The variant's fix-up would point out of its data, too, but the memory's record comes first.
    assert_eq!(invalid(&bytes), InvalidModule::Memory { why: BadMemory::Words });
}

#[test]
fn rejects_a_memory_above_its_budget() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Fast);
    let limits = Budget { memory_bytes: 2 * MEMORY_PAGE_SIZE as u32 - 1, ..Budget::LIMITS };
    let error = manager.load_with(&with(&RECORD), &LoadOptions { limits, ..LoadOptions::DEFAULT }).unwrap_err();
    assert_eq!(error, LoadError::MemoryBudget { found: 0x2_0000, limit: 0x1_ffff });
    let expected = "a linear memory of 131072 bytes, expected at most 131071; ";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert_eq!((platform.images.get(), manager.ids().count()), (0, 0));
}

#[test]
fn rejects_a_memory_that_does_not_fit_and_loses_nothing() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Fast);
    platform.memory_left.set(2 * MEMORY_PAGE_SIZE - 1);
    assert!(matches!(manager.load(&with(&RECORD)), Err(LoadError::Platform(_))));
    assert_eq!((platform.images.get(), manager.ids().count()), (0, 0));
    platform.memory_left.set(2 * MEMORY_PAGE_SIZE);
    let id = manager.load(&with(&RECORD)).unwrap();
    assert_eq!(platform.memory_left.get(), 0);
    manager.unload(id).unwrap();
    assert_eq!(platform.memory_left.get(), 2 * MEMORY_PAGE_SIZE);
}

#[test]
fn the_words_say_where_the_memory_is_and_how_large() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Fast);
    let id = manager.load(&with(&RECORD)).unwrap();
    let base = manager.with_image(id, crate::testing::FakeImage::memory_base).unwrap();
    assert_eq!(words(&manager, id), [base, 2 * MEMORY_PAGE_SIZE]);
    let grow = |pages| manager.with_image(id, |image| crate::platform::Platform::grow_memory(&&platform, image, pages));
    assert_eq!(grow(1), Some(2));
    assert_eq!(words(&manager, id), [base, 3 * MEMORY_PAGE_SIZE]);
    for pages in [2, u64::MAX, u64::MAX / MEMORY_PAGE_SIZE + 1] {
        assert_eq!(grow(pages), Some(CANNOT_GROW), "{pages}");
    }
    assert_eq!(grow(1), Some(3));
    assert_eq!(grow(0), Some(4));
}

#[test]
fn the_budget_limits_what_a_memory_grows_to() {
    let platform = FakePlatform::default();
    let manager = manager(&platform, Timing::Fast);
    let limits = Budget { memory_bytes: 3 * MEMORY_PAGE_SIZE as u32, ..Budget::LIMITS };
    let id = manager.load_with(&with(&RECORD), &LoadOptions { limits, ..LoadOptions::DEFAULT }).unwrap();
    let maximum = manager.with_image(id, |image| image.memory.as_ref().map(|(memory, _)| memory.maximum_pages));
    assert_eq!(maximum, Some(Some(3)));
}

#[cfg(feature = "restart")]
#[test]
fn a_restart_gives_the_memory_that_there_was_at_first() {
    for refills in [false, true] {
        let platform = FakePlatform::default();
        platform.refills.set(refills);
        let manager = manager(&platform, Timing::Fast);
        let options = LoadOptions { on_fault: FaultPolicy::Restart, ..LoadOptions::DEFAULT };
        let id = manager.load_with(&with(&RECORD), &options).unwrap();
        manager.with_image(id, |image| crate::platform::Platform::grow_memory(&&platform, image, 2)).unwrap();
        let fault = Fault { kind: FaultKind::Panic, offset: None, address: None };
        platform.results.borrow_mut().push_back(Err(fault));
        assert!(manager.execute(id).is_err());
        assert_eq!(words(&manager, id)[1], 2 * MEMORY_PAGE_SIZE, "{refills}");
        let bytes = manager.with_image(id, |image| image.memory.as_ref().map(|(_, bytes)| bytes.borrow().len() as u64));
        assert_eq!(bytes, Some(Some(2 * MEMORY_PAGE_SIZE)));
    }
}
