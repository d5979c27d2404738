use super::*;
use bareflow_abi::Reason;
use bareflow_loader::{Draft, FaultKind, Name};

type Outcome = Result<i32, FaultKind>;

fn platform() -> HostPlatform {
    HostPlatform::new(Box::new(|_| ())).unwrap()
}

/// Places `code` as a module with a page of rodata and one of data, and calls it.
fn execute(platform: &HostPlatform, code: &[u8]) -> Outcome {
    let (image, entry) = place(platform, code);
    let mut context = Context::new(platform.services(), &[], &mut []);
    let name = Name::new("test").unwrap();
    let call = Call { module: &name, image: &image, entry, reason: Reason::Run };
    let result = platform.call(&call, &mut context).map_err(|fault| fault.kind);
    platform.release(image);
    result
}

fn place(platform: &HostPlatform, code: &[u8]) -> (Image, u64) {
    let size = ImageSize { text: code.len(), rodata: 4096, data: 4096, alignment: 16 };
    let mut draft = platform.reserve(size).unwrap();
    draft.text().copy_from_slice(code);
    assert!(draft.data().iter().all(|&byte| byte == 0));
    draft.data().fill(1);
    let base = draft.base();
    (platform.seal(draft).unwrap(), base)
}

#[test]
fn contains_faults_and_goes_on() {
    let platform = platform();
    let return_42: &[u8] = &[0xb8, 42, 0, 0, 0, 0xc3];
    let cases: [(&[u8], Outcome); 15] = [
        (&[0x31, 0xd2, 0x31, 0xc9, 0xf7, 0xf1], Err(FaultKind::Divide)),
        (&[0xcc], Err(FaultKind::Breakpoint)),
        (&[0x0f, 0x0b], Err(FaultKind::InvalidOpcode)),
        (&PANIC, Err(FaultKind::Panic)),
        (&[0x31, 0xc0, 0x8b, 0x00, 0xc3], Err(FaultKind::PageRead)),
        (&[0x31, 0xc0, 0x89, 0x00, 0xc3], Err(FaultKind::PageWrite)),
        (&[0x31, 0xc0, 0xff, 0xe0], Err(FaultKind::PageExecute)),
        (&[0x48, 0x8d, 0x05, 0, 0, 0, 0, 0x89, 0x00, 0xc3], Err(FaultKind::PageWrite)),
        (&[0xfa], Err(FaultKind::GeneralProtection)),
        (&[0x50, 0xeb, 0xfd], Err(FaultKind::StackOverflow)),
        // xor ebx, ebx; not ebx; ret · xor r15, r15; not r15; ret · std; ret · push [rsp]; ret
        (&[0x31, 0xdb, 0xf7, 0xd3, 0xc3], Err(FaultKind::ClobberedRegister)),
        (&[0x4d, 0x31, 0xff, 0x49, 0xf7, 0xd7, 0xc3], Err(FaultKind::ClobberedRegister)),
        (&[0xfd, 0xc3], Err(FaultKind::ClobberedRegister)),
        (&[0xff, 0x34, 0x24, 0xc3], Err(FaultKind::ClobberedRegister)),
        // push 0; ldmxcsr [rsp]; pop rax; ret
        (&[0x6a, 0x00, 0x0f, 0xae, 0x14, 0x24, 0x58, 0xc3], Err(FaultKind::ClobberedRegister)),
    ];
    for (code, expected) in cases {
        assert_eq!(execute(&platform, code), expected, "{code:x?}");
        assert_eq!(execute(&platform, return_42), Ok(42));
    }
}

const PANIC: [u8; 4] = bareflow_abi::trap::PANIC_INSTRUCTION;

#[test]
fn maps_nothing_writable_and_executable_and_reuses_addresses() {
    let platform = platform();
    let (first, base) = place(&platform, &[0xc3]);
    let (second, other) = place(&platform, &[0xc3]);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.lines().any(|line| line.contains("rwx") || line.contains("-wx")), "{maps}");
    assert_ne!(other, base);
    platform.release(first);
    let (third, again) = place(&platform, &[0xc3]);
    assert_eq!(again, base);
    platform.release(second);
    platform.release(third);
}

#[test]
fn says_where_a_fault_happened_and_what_was_accessed() {
    let platform = platform();
    let cases: [(&[u8], Option<u64>, Option<u64>); 4] = [
        // nop; int3: the processor reports the instruction behind it.
        (&[0x90, 0xcc], Some(1), None),
        // xor eax, eax; mov eax, [rax + 8]
        (&[0x31, 0xc0, 0x8b, 0x40, 8], Some(2), Some(8)),
        // mov eax, 0x1000; jmp rax: execution has left the image.
        (&[0xb8, 0, 0x10, 0, 0, 0xff, 0xe0], None, Some(0x1000)),
        // ud2
        (&[0x0f, 0x0b], Some(0), None),
    ];
    for (code, offset, address) in cases {
        let (image, entry) = place(&platform, code);
        let name = Name::new("test").unwrap();
        let call = Call { module: &name, image: &image, entry, reason: Reason::Run };
        let fault = platform.call(&call, &mut Context::new(platform.services(), &[], &mut [])).unwrap_err();
        platform.release(image);
        assert_eq!((fault.offset, fault.address), (offset, address), "{code:x?}: {fault}");
    }
}

#[test]
fn logs_only_what_the_module_may_pass_on() {
    use std::rc::Rc;
    let lines = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&lines);
    let platform = HostPlatform::new(Box::new(move |line| sink.borrow_mut().push(line.to_owned()))).unwrap();
    // Context's second word is the table of services, and that one's second word is `log`:
    // mov rax, [rdi + 8]; lea rsi, [rip + ..]; mov edx, 2; push rdi; call [rax + 8];
    // pop rdi; mov rax, [rdi + 8]; xor esi, esi; mov edx, 9; push rdi; call [rax + 8]; pop rdi; ret; "hi"
    let code = [
        &[0x48, 0x8b, 0x47, 8, 0x48, 0x8d, 0x35, 27, 0, 0, 0, 0xba, 2, 0, 0, 0, 0x57, 0xff, 0x50, 8][..],
        &[0x5f, 0x48, 0x8b, 0x47, 8, 0x31, 0xf6, 0xba, 9, 0, 0, 0, 0x57, 0xff, 0x50, 8, 0x5f, 0xc3],
        b"hi",
    ]
    .concat();
    assert!(execute(&platform, &code).is_ok());
    let lines = lines.borrow();
    assert_eq!(lines[0], "  [LOG] test: hi");
    assert!(lines[1].starts_with("  [WARN] test: log of 9 bytes at 0x0, expected at most"), "{lines:?}");
}
