//! Linear memories between calls, as a carry reaches them, and in the kinds of faults.

use bareflow_abi::memory::{CANNOT_GROW, MEMORY_PAGE_SIZE};
use bareflow_loader::LinearMemory;

use super::*;

const MEMORY: LinearMemory = LinearMemory { words: 4080, initial_pages: 1, maximum_pages: 3, needs_window: true };

/// `mov rax, [rip + the first word]; mov rcx, [rdi + 24]; add rax, [rcx]; movzx eax, byte [rax]; ret`: reads the byte of the
/// memory that the input names.
const READ: [u8; 18] =
    [0x48, 0x8b, 0x05, 0xe9, 0x0f, 0, 0x50, 0x48, 0x8b, 0x4f, 24, 0x48, 0x03, 0x01, 0x0f, 0xb6, 0x00, 0xc3];

/// Places the code with a linear memory, and writes its words as the loader does.
fn place_with_memory(platform: &HostPlatform, domain: Domain) -> Image {
    let size = ImageSize { text_bytes: READ.len() as u32, rodata_bytes: 0, data_bytes: 4096, alignment: 16 };
    let mut image = platform.allocate_with_memory(size, &usual(domain), &MEMORY).unwrap();
    let words = [image.memory_base(), MEMORY_PAGE_SIZE].map(u64::to_le_bytes);
    let [text, _, data] = image.segments();
    text.copy_from_slice(&READ);
    data[4080..].copy_from_slice(&words.concat());
    platform.seal(image).unwrap()
}

fn read(platform: &HostPlatform, image: &Image, at: u64) -> Result<i32, FaultKind> {
    match call_with(platform, image, &at.to_le_bytes(), &mut []) {
        Ok(outcome) => Ok(outcome.result),
        Err(CallFailure::Fault(fault)) => Err(fault.kind),
        Err(CallFailure::NoMemory) => panic!("no memory"),
    }
}

#[test]
fn a_memory_is_reached_and_grows_between_calls() {
    let platform = platform();
    for domain in Domain::ALL {
        let image = place_with_memory(&platform, domain);
        assert_eq!(platform.grow_memory(&image, 1), 1, "{domain:?}");
        let reach = |address, length, work: &mut dyn FnMut(&mut [u8])| platform.reach(&image, address, length, work);
        let mut words = Vec::new();
        let data = image.segments.all()[2].0;
        assert!(reach(data + 4080, 16, &mut |bytes| words.extend_from_slice(bytes)));
        let [base, size] = [0, 8].map(|at| u64::from_le_bytes(words[at..at + 8].try_into().unwrap()));
        assert_eq!(size, 2 * MEMORY_PAGE_SIZE, "{domain:?}");
        let mut pieces = 0;
        assert!(reach(base, size, &mut |bytes| {
            assert!(bytes.iter().all(|&byte| byte == 0));
            pieces += bytes.len() as u64;
            bytes.fill(5);
        }));
        assert_eq!(pieces, size);
        assert!(!reach(base, size + 1, &mut |_| panic!("there is no such byte")));
        assert_eq!([0, size - 1].map(|at| read(&platform, &image, at)), [Ok(5); 2], "{domain:?}");
        assert_eq!(platform.grow_memory(&image, 2), CANNOT_GROW);
        assert_eq!(platform.grow_memory(&image, 1), 2);
        assert_eq!(read(&platform, &image, 3 * MEMORY_PAGE_SIZE - 1), Ok(0));
        let beyond = Err(FaultKind::WasmOutOfBoundsMemoryAccess);
        assert_eq!(read(&platform, &image, 3 * MEMORY_PAGE_SIZE), beyond, "{domain:?}");
        platform.release(image);
    }
}
