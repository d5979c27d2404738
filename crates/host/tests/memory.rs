//! The memory that a module takes besides its code when many are loaded. This test has a process of its own, since it
//! counts all allocations.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bareflow_abi::fingerprint::FINGERPRINT;
use bareflow_abi::header::{FORMAT_VERSION, HEADER_SIZE, Header, MACHINE_X86_64, MAGIC, checksum_of};
use bareflow_abi::{ABI_MAJOR, ABI_MINOR};
use bareflow_host::HostPlatform;
use bareflow_loader::{KernelDomain, ModuleManager, Timing};

/// The bytes that a module may take besides its code, before its first call.
const MOST: usize = 512;

/// `xor eax, eax; ret`
const TEXT: [u8; 3] = [0x31, 0xc0, 0xc3];

/// The number of bytes allocated now.
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: all work is done by the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as for the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as for the caller.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Returns a tiny module named `name`.
fn blob(name: &str) -> Vec<u8> {
    let mut header = Header {
        magic: MAGIC,
        format: FORMAT_VERSION,
        machine: MACHINE_X86_64,
        abi_major: ABI_MAJOR,
        abi_minor: ABI_MINOR,
        abi_fingerprint: FINGERPRINT,
        version_major: 1,
        text_size: TEXT.len() as u32,
        alignment: 16,
        cpu_level: 1,
        ..Header::default()
    };
    header.name[..name.len()].copy_from_slice(name.as_bytes());
    let mut bytes = [header.to_bytes().as_slice(), &TEXT].concat();
    let checksum = checksum_of(&bytes).unwrap();
    bytes[HEADER_SIZE - 4..HEADER_SIZE].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn a_tiny_module_takes_little_besides_its_code() {
    // SAFETY: the module only returns.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    let manager =
        ModuleManager::with_kernel_domain(HostPlatform::new(Box::new(|_| ())).unwrap(), Timing::Fast, trusted);
    // The first load starts the watchdog.
    let first = manager.load(&blob("first")).unwrap();
    let before = ALLOCATED.load(Ordering::Relaxed);
    for count in 1..=100_000 {
        manager.load(&blob(&format!("module-{count}"))).unwrap();
        if [1_000, 10_000, 100_000].contains(&count) {
            let each = (ALLOCATED.load(Ordering::Relaxed) - before) / count;
            println!("{count} modules: {each} bytes each, at most {MOST}");
            assert!(each <= MOST, "{count} modules: {each} bytes each, expected {MOST} at most");
        }
    }
    assert_eq!(manager.execute(first), Ok(0));
}
