//! Memories whose length is not what the module began with.

mod common;

use bareflow_abi::header::{HEADER_SIZE, Header, checksum_of};
use bareflow_host::HostPlatform;
use bareflow_loader::{ExecuteError, FaultKind, KernelDomain, ModuleManager, Timing};
use bareflow_portable::state::MEMORY_BYTES;
use common::blob;

/// Loads at an index that is the input's length, times 64 KiB, less 4. Grows by nothing, so the length is no constant.
const LOADS: &str = r#"(module
    (import "bareflow" "input_length" (func $length (result i32)))
    (memory 1 4)
    (func (export "run") (result i32)
        (drop (memory.grow (i32.const 0)))
        (i32.load (i32.sub (i32.shl (call $length) (i32.const 16)) (i32.const 4)))))"#;

/// Returns the blob of [`LOADS`] whose memory has this length at first, as an instance of any length could be carried to it.
fn with_length(bytes: u64) -> Vec<u8> {
    let mut blob = blob(LOADS);
    let header = Header::from_bytes(blob.first_chunk().unwrap());
    let data = HEADER_SIZE + (header.text_size + header.rodata_size) as usize;
    // The file has no zeros at the end of the data, which begins with the length of a page.
    let room = (header.data_size - MEMORY_BYTES) as usize;
    blob[data + MEMORY_BYTES as usize..][..room].copy_from_slice(&bytes.to_le_bytes()[..room]);
    let checksum = checksum_of(&blob).unwrap();
    blob[HEADER_SIZE - 4..HEADER_SIZE].copy_from_slice(&checksum.to_le_bytes());
    blob
}

#[test]
fn a_length_below_the_first_pages_lets_nothing_out() {
    let platform = HostPlatform::new(Box::new(|line| println!("{line}"))).unwrap();
    // SAFETY: the blobs are those of this file's module.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    let manager = ModuleManager::with_kernel_domain(platform, Timing::Fast, trusted);
    for length in [0, 1, 3, 4, 65_535, 65_536] {
        // At the end of the first page, of the second one, and of all that an index reaches.
        for input in [&b"1"[..], b"12", b""] {
            let id = manager.load(&with_length(length)).unwrap();
            match manager.execute_with(id, input, &mut []) {
                Ok(done) => assert_eq!((done.result, length, input), (0, 65_536, &b"1"[..])),
                Err(ExecuteError::Faulted(fault)) => {
                    assert_eq!(fault.kind, FaultKind::WasmOutOfBoundsMemoryAccess, "{length}");
                    assert!((length, input) != (65_536, b"1"));
                }
                Err(error) => panic!("{error}"),
            }
            manager.unload(id).unwrap();
        }
    }
}
