use super::*;
use crate::call::code;
use bareflow_abi::trap_codes::{HEAP_INSTRUCTION, PANIC_INSTRUCTION};

#[test]
fn contains_faults_and_goes_on() {
    let platform = platform();
    let cases: [(&[u8], FaultKind); 17] = [
        (&[0x31, 0xd2, 0x31, 0xc9, 0xf7, 0xf1], FaultKind::Divide),
        (&[0xcc], FaultKind::Breakpoint),
        (&[0x0f, 0x0b], FaultKind::InvalidOpcode),
        (&PANIC_INSTRUCTION, FaultKind::Panic),
        (&HEAP_INSTRUCTION, FaultKind::HeapBudget),
        (&[0x31, 0xc0, 0x8b, 0x00, 0xc3], FaultKind::PageRead),
        (&[0x31, 0xc0, 0x89, 0x00, 0xc3], FaultKind::PageWrite),
        (&[0x31, 0xc0, 0xff, 0xe0], FaultKind::PageExecute),
        (&[0x48, 0x8d, 0x05, 0, 0, 0, 0, 0x89, 0x00, 0xc3], FaultKind::PageWrite),
        (&[0xfa], FaultKind::GeneralProtection),
        (&[0x50, 0xeb, 0xfd], FaultKind::StackOverflow),
        // xor ebx, ebx; not ebx; ret · xor r15, r15; not r15; ret · std; ret · push [rsp]; ret
        (&[0x31, 0xdb, 0xf7, 0xd3, 0xc3], FaultKind::ClobberedRegister),
        (&[0x4d, 0x31, 0xff, 0x49, 0xf7, 0xd7, 0xc3], FaultKind::ClobberedRegister),
        (&[0xfd, 0xc3], FaultKind::ClobberedRegister),
        (&[0xff, 0x34, 0x24, 0xc3], FaultKind::ClobberedRegister),
        // pushfq; or dword ptr [rsp], 0x40000; popfq; ret
        (&[0x9c, 0x81, 0x0c, 0x24, 0, 0, 4, 0, 0x9d, 0xc3], FaultKind::ClobberedRegister),
        // push 0; ldmxcsr [rsp]; pop rax; ret
        (&[0x6a, 0x00, 0x0f, 0xae, 0x14, 0x24, 0x58, 0xc3], FaultKind::ClobberedRegister),
    ];
    for domain in Domain::ALL {
        for (code, expected) in cases {
            let kind = execute(&platform, code, &usual(domain)).map_err(|fault| fault.kind);
            assert_eq!(kind, Err(expected), "{domain:?} {code:x?}");
            assert_eq!(execute(&platform, &RETURN_42, &usual(domain)), Ok(42));
        }
    }
}

#[test]
fn says_where_a_fault_happened_and_what_was_accessed() {
    let platform = platform();
    let cases: [(&[u8], Option<u64>, Option<u64>); 5] = [
        // nop; int3: the processor reports the instruction after it.
        (&[0x90, 0xcc], Some(1), None),
        // xor eax, eax; mov eax, [rax + 8]
        (&[0x31, 0xc0, 0x8b, 0x40, 8], Some(2), Some(8)),
        // mov eax, 0x1000; jmp rax: execution has left the image.
        (&[0xb8, 0, 0x10, 0, 0, 0xff, 0xe0], None, Some(0x1000)),
        // ud2
        (&[0x0f, 0x0b], Some(0), None),
        // nop; cli
        (&[0x90, 0xfa], Some(1), None),
    ];
    for domain in Domain::ALL {
        for (code, offset, address) in cases {
            let fault = execute(&platform, code, &usual(domain)).unwrap_err();
            assert_eq!((fault.offset, fault.address), (offset, address), "{domain:?} {code:x?}: {fault}");
        }
    }
}

#[test]
fn knows_more_of_a_fault_than_its_kind() {
    let platform = platform();
    // lea rdi, [rip + ..]; mov esi, 4; mov rdx, rdi; mov ecx, 2; mov r8d, 7; mov ebx, 5; panic; "oops"
    let code = [
        &[0x48, 0x8d, 0x3d, 28, 0, 0, 0, 0xbe, 4, 0, 0, 0, 0x48, 0x89, 0xfa, 0xb9, 2, 0, 0, 0][..],
        &[0x41, 0xb8, 7, 0, 0, 0, 0xbb, 5, 0, 0, 0],
        &PANIC_INSTRUCTION,
        b"oops",
    ]
    .concat();
    for domain in Domain::ALL {
        let fault = execute(&platform, &code, &usual(domain)).unwrap_err();
        assert_eq!((fault.kind, fault.offset), (FaultKind::Panic, Some(31)), "{domain:?}");
        let diagnosis = platform.diagnosis().unwrap();
        let panic = diagnosis.panic.unwrap();
        assert_eq!((panic.message.bytes(), panic.file.bytes(), panic.line), (&b"oops"[..], &b"oo"[..], 7));
        assert_eq!(diagnosis.code(), [&PANIC_INSTRUCTION[..], b"oops"].concat());
        assert_eq!(diagnosis.registers[3], 5);
        assert!(platform.diagnosis().is_none());
    }
}

#[test]
fn goes_on_whatever_a_call_leaves_behind() {
    for trampolines in [code::RESTORING, code::TESTING] {
        let mut platform = platform();
        platform.thread.trampolines = trampolines;
        goes_on_with(&platform);
    }
}

/// Calls modules that change registers and flags, on the fast path.
fn goes_on_with(platform: &HostPlatform) {
    // pushfq; or dword ptr [rsp], FLAGS; popfq; xor eax, eax; ret
    let leaving =
        |flags: u32| [&[0x9c, 0x81, 0x0c, 0x24][..], &flags.to_le_bytes(), &[0x9d, 0x31, 0xc0, 0xc3]].concat();
    // mov ebx, 1; mov r12, rbx; mov r15, rbx; xor eax, eax; ret
    let registers = vec![0xbb, 1, 0, 0, 0, 0x49, 0x89, 0xdc, 0x49, 0x89, 0xdf, 0x31, 0xc0, 0xc3];
    // push 0x7f80; ldmxcsr [rsp]; pop rax; xor eax, eax; ret: rounds towards zero.
    let rounding = vec![0x68, 0x80, 0x7f, 0, 0, 0x0f, 0xae, 0x14, 0x24, 0x58, 0x31, 0xc0, 0xc3];
    // The flags AC, NT and DF.
    let codes = [leaving(0x40000), leaving(0x4000), leaving(0x400), registers, rounding];
    assert_eq!(execute(platform, &RETURN_42, &usual(Domain::Kernel)), Ok(42));
    for (number, code) in codes.iter().enumerate() {
        let image = place(platform, code, &usual(Domain::Kernel));
        for timing in [Timing::Fast, Timing::Precise, Timing::Untimed] {
            let name = Name::new("test").unwrap();
            let (entry, reason) = (image.segments.base, Reason::Run as u32);
            // SAFETY: the entry is the start of the image's text, which the test wrote.
            let call = unsafe { Call::new(&name, &image, entry, reason, &[], timing) };
            let returned = platform.call_fast(&call);
            assert_eq!(returned.map(|returned| returned.result), Ok(0), "{number} {timing:?}");
            // Code that depends on the flags, the rounding, and registers of our own.
            let bytes = std::hint::black_box([1_u8, 0, 0, 0, 0, 0, 0, 0, 2]);
            let word: [u8; 8] = *bytes[1..].first_chunk().unwrap();
            assert_eq!(std::hint::black_box(u64::from_le_bytes(word)), 2 << 56);
            assert_eq!(execute(platform, &RETURN_42, &usual(Domain::Kernel)), Ok(42));
            assert_eq!(std::hint::black_box(2.0_f64) / 3.0, 2.0 / 3.0);
        }
        assert_eq!(call(platform, &image).map_err(|fault| fault.kind), Err(FaultKind::ClobberedRegister), "{number}");
        platform.release(image);
    }
    // mov eax, [rsp + 1]; xor eax, eax; ret: misaligned, which faults only because of the flag that another module left
    // set.
    let [leaves, misaligned] = [&leaving(0x40000)[..], &[0x8b, 0x44, 0x24, 1, 0x31, 0xc0, 0xc3]]
        .map(|code| place(platform, code, &usual(Domain::Kernel)));
    for image in [&leaves, &misaligned] {
        let name = Name::new("test").unwrap();
        let (entry, reason, timing) = (image.segments.base, Reason::Run as u32, Timing::Untimed);
        // SAFETY: the entry is the start of the image's text, which the test wrote.
        let call = unsafe { Call::new(&name, image, entry, reason, &[], timing) };
        assert_eq!(platform.call_fast(&call).map(|returned| returned.result), Ok(0));
    }
}
