use super::*;

const USER: Placement = usual(Domain::User);

/// `mov eax, number; mov edi, first; mov esi, second; syscall; ret`
fn system_call(number: libc::c_long, first: u32, second: u32) -> Vec<u8> {
    let mut code = Vec::new();
    for (opcode, value) in [(0xb8, number as u32), (0xbf, first), (0xbe, second)] {
        code.push(opcode);
        code.extend(value.to_le_bytes());
    }
    code.extend([0x0f, 0x05, 0xc3]);
    code
}

#[test]
fn lets_a_module_ask_the_system_for_nothing() {
    let platform = platform();
    let own = std::process::id();
    let calls = [
        (libc::SYS_kill, own, 9),
        (libc::SYS_open, 0, 0),
        (libc::SYS_fork, 0, 0),
        (libc::SYS_write, 1, 0),
        (libc::SYS_mmap, 0, 4096),
        (libc::SYS_ptrace, 16, own),
        (libc::SYS_futex, 0, libc::FUTEX_LOCK_PI as u32),
        // The 32-bit number of another call.
        (0x4000_0000 | libc::SYS_getpid, 0, 0),
    ];
    for (number, first, second) in calls {
        let fault = execute(&platform, &system_call(number, first, second), &USER).unwrap_err();
        assert_eq!(fault, Fault { kind: FaultKind::GeneralProtection, offset: Some(15), address: None }, "{number}");
    }
    // mov eax, 20; int 0x80: `getpid` of the 32-bit table.
    let fault = execute(&platform, &[0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3], &USER).unwrap_err();
    assert_eq!((fault.kind, fault.offset), (FaultKind::GeneralProtection, Some(5)));
}

#[test]
fn survives_the_end_of_a_process() {
    let platform = platform();
    let fault = execute(&platform, &system_call(libc::SYS_exit_group, 0, 0), &USER).unwrap_err();
    assert_eq!(fault, Fault { kind: FaultKind::GeneralProtection, offset: None, address: None });
    let image = place(&platform, &RETURN_42, &USER);
    assert_eq!(call(&platform, &image), Ok(42));
    // SAFETY: the process is a child that nobody has waited for.
    unsafe { libc::kill(image.child.as_ref().unwrap().id(), libc::SIGKILL) };
    assert_eq!(call(&platform, &image).unwrap_err().kind, FaultKind::GeneralProtection);
    assert_eq!(call(&platform, &image).unwrap_err().kind, FaultKind::GeneralProtection);
    platform.release(image);
}

#[test]
fn ends_a_module_that_sleeps() {
    let platform = platform();
    let budget = Budget { time_us: 1_000, ..Budget::DEFAULT };
    // push 0; mov rdi, rsp; xor esi, esi; xor edx, edx; xor r10d, r10d; mov eax, 202 (futex); syscall; ud2
    let code = [
        0x6a, 0, 0x48, 0x89, 0xe7, 0x31, 0xf6, 0x31, 0xd2, 0x45, 0x31, 0xd2, 0xb8, 202, 0, 0, 0, 0x0f, 0x05, 0x0f, 0x0b,
    ];
    let fault = execute(&platform, &code, &Placement { domain: Domain::User, budget, services: u32::MAX }).unwrap_err();
    assert_eq!(fault.kind, FaultKind::TimeBudget);
}
