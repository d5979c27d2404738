use super::*;
use crate::mapper;
use bareflow_abi::CallRefusal;
use bareflow_abi::interface::{CallError, Shape};
use bareflow_loader::{Callees, RegionMemory};

const USER: Placement = usual(Domain::User);

/// Returns the bytes of a region, as this process has them.
fn bytes(memory: &RegionMemory) -> &'static mut [u8] {
    let start = std::ptr::with_exposed_provenance_mut(memory.address as usize);
    // SAFETY: the region is mapped, and the tests use it by one slice at a time.
    unsafe { std::slice::from_raw_parts_mut(start, memory.bytes() as usize) }
}

/// `mov` of a value to a register, by the opcode's second and, if that is there, first byte.
fn set(code: &mut Vec<u8>, opcode: [u8; 2], value: u64) {
    code.extend(opcode);
    code.extend(value.to_le_bytes());
}

/// `mov rax, address; movzx eax, byte ptr [rax]; ret`
fn reader(address: u64) -> Vec<u8> {
    let mut code = Vec::new();
    set(&mut code, [0x48, 0xb8], address);
    code.extend([0x0f, 0xb6, 0x00, 0xc3]);
    code
}

/// `mov rax, address; mov byte ptr [rax], 7; movzx eax, byte ptr [rax]; ret`
fn writer(address: u64) -> Vec<u8> {
    let mut code = Vec::new();
    set(&mut code, [0x48, 0xb8], address);
    code.extend([0xc6, 0x00, 7, 0x0f, 0xb6, 0x00, 0xc3]);
    code
}

fn importer(platform: &HostPlatform, code: &[u8]) -> Image {
    place_importer(platform, code, &USER, true)
}

#[test]
fn maps_a_region_as_it_is_lent_and_unmaps_it() {
    let platform = platform();
    let memory = platform.allocate_region(2).unwrap();
    bytes(&memory)[0] = 5;
    let [lent, others] = [reader(memory.address), writer(memory.address)].map(|code| importer(&platform, &code));
    for is_writable in [false, true, false] {
        assert_eq!(platform.map_region(&memory, &lent, is_writable), Ok(memory.address));
        assert_eq!(call(&platform, &lent), Ok(5));
        platform.unmap_region(&memory, &lent);
    }
    // What is lent to be read is not written, by whatever code.
    assert_eq!(platform.map_region(&memory, &others, false), Ok(memory.address));
    let fault = call(&platform, &others).unwrap_err();
    assert_eq!((fault.kind, fault.address, bytes(&memory)[0]), (FaultKind::PageWrite, Some(memory.address), 5));
    let writes = importer(&platform, &writer(memory.address));
    platform.map_region(&memory, &writes, true).unwrap();
    assert_eq!((call(&platform, &writes), bytes(&memory)[0]), (Ok(7), 7));
    // After the end, nothing is there.
    let fault = call(&platform, &lent).unwrap_err();
    assert_eq!((fault.kind, fault.address), (FaultKind::PageRead, Some(memory.address)));
    [lent, others, writes].into_iter().for_each(|image| platform.release(image));
    platform.free_region(memory);
}

#[test]
fn only_a_module_that_imports_regions_has_the_thread() {
    let platform = platform();
    for imports_them in [false, true] {
        let image = place_importer(&platform, &RETURN_42, &USER, imports_them);
        let child = image.child.as_ref().unwrap();
        let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().count();
        assert_eq!((threads, child.mapper.is_some()), (1 + usize::from(imports_them), imports_them));
        platform.release(image);
    }
    let memory = platform.allocate_region(1).unwrap();
    let image = place(&platform, &RETURN_42, &USER);
    assert!(platform.map_region(&memory, &image, true).is_err());
    platform.release(image);
    platform.free_region(memory);
}

#[test]
fn a_module_can_neither_give_orders_nor_map_anything_itself() {
    let platform = platform();
    // The page of orders can't be written to. It is not known before the process is there, so its address is an input.
    // mov rax, [rdi + 24]: the input; mov rax, [rax]; mov byte ptr [rax], 1; ret
    let code = [0x48, 0x8b, 0x47, 24, 0x48, 0x8b, 0x00, 0xc6, 0x00, 1, 0xc3];
    let image = importer(&platform, &code);
    let page = image.child.as_ref().unwrap().mapper.as_ref().unwrap().page();
    let failure = call_with(&platform, &image, &page.to_le_bytes(), &mut []).unwrap_err();
    let CallFailure::Fault(fault) = failure else { panic!("{failure:?}") };
    assert_eq!((fault.kind, fault.address), (FaultKind::PageWrite, Some(page)));
    platform.release(image);

    // mov eax, number; mov r9, address; jmp r9: to the thread's own instructions, each of two bytes.
    let calls = mapper::calls().map(|(number, behind)| (number, behind - 2));
    for (number, address) in calls.into_iter().filter(|&(number, _)| number != libc::SYS_exit_group) {
        let mut code = vec![0xb8];
        code.extend((number as u32).to_le_bytes());
        set(&mut code, [0x49, 0xb9], address);
        code.extend([0x41, 0xff, 0xe1]);
        let image = importer(&platform, &code);
        let kind = call(&platform, &image).map_err(|fault| fault.kind);
        assert_eq!(kind, Err(FaultKind::GeneralProtection), "{number}");
        platform.release(image);
    }
}

#[test]
fn a_process_that_ends_has_nothing_mapped() {
    let platform = platform();
    let memory = platform.allocate_region(1).unwrap();
    let image = importer(&platform, &writer(memory.address));
    platform.map_region(&memory, &image, true).unwrap();
    assert_eq!(call(&platform, &image), Ok(7));
    // SAFETY: the process is a child that has not been waited for.
    unsafe { libc::kill(image.child.as_ref().unwrap().id(), libc::SIGKILL) };
    platform.unmap_region(&memory, &image);
    assert!(platform.map_region(&memory, &image, true).is_err());
    assert_eq!((call(&platform, &image).unwrap_err().kind, bytes(&memory)[0]), (FaultKind::GeneralProtection, 7));
    platform.release(image);
    platform.free_region(memory);
}

/// A caller that takes a region back from a module while that goes on.
struct TakesBack<'test>(&'test HostPlatform, &'test Image, &'test RegionMemory);

impl Callees for TakesBack<'_> {
    fn call(&self, _: &[u8], _: &[u8], _: &mut [u8]) -> Result<CallOutcome, CallRefusal> {
        Err(CallRefusal::NotLoaded)
    }
    fn shape(&self, _: u32, _: u32) -> Result<Shape, CallError> {
        let TakesBack(platform, image, memory) = *self;
        // The module writes all the time.
        let counter = || u64::from_ne_bytes(*bytes(memory).first_chunk().unwrap());
        let started = counter();
        while std::hint::black_box(counter()) == started {
            std::hint::spin_loop();
        }
        platform.unmap_region(memory, image);
        bytes(memory).fill(9);
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(bytes(memory).iter().all(|&byte| byte == 9), "the module still writes");
        Err(CallError::NotBound)
    }
}

// A module that asks for the shape of a method, and does not wait for the answer, but counts in a region. Its input are the
// addresses of the turn, of a message's words and of the region, and the message.
std::arch::global_asm!(
    ".global bareflow_test_counter, bareflow_test_counter_end",
    "bareflow_test_counter:",
    "mov rsi, [rdi + 24]",
    "mov rdx, [rsi]",
    "mov rdi, [rsi + 8]",
    "mov rax, [rsi + 16]",
    "add rsi, 24",
    "mov ecx, 3",
    "rep movsq",
    "mov dword ptr [rdx], 0",
    "2: inc qword ptr [rax]",
    "jmp 2b",
    "bareflow_test_counter_end:",
);

#[test]
fn what_is_taken_back_is_gone_even_if_its_module_never_waits() {
    unsafe extern "C" {
        static bareflow_test_counter: u8;
        static bareflow_test_counter_end: u8;
    }
    let (start, end) = (&raw const bareflow_test_counter, &raw const bareflow_test_counter_end);
    // SAFETY: the two lie around the code above.
    let code = unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) };
    let platform = platform();
    let memory = platform.allocate_region(1).unwrap();
    let image = importer(&platform, code);
    platform.map_region(&memory, &image, true).unwrap();
    let channel = &image.child.as_ref().unwrap().channel;
    let places = [channel.handoff().word().as_ptr().addr(), channel.words().as_ptr().addr()].map(|at| at as u64);
    let words = places.into_iter().chain([memory.address, 7, 0, 0]);
    let input: Vec<_> = words.flat_map(u64::to_le_bytes).collect();
    let (name, entry) = (Name::new("test").unwrap(), image.segments.base);
    // SAFETY: the entry is the start of the image's text, which the test wrote.
    let call = unsafe { Call::new(&name, &image, entry, Reason::Run as u32, &input, Timing::Fast) };
    let failure = platform.call_with_callees(&call, &mut [], &TakesBack(&platform, &image, &memory)).unwrap_err();
    assert!(matches!(failure, CallFailure::Fault(_)), "{failure:?}");
    platform.release(image);
    platform.free_region(memory);
}
