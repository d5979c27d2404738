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
        (libc::SYS_futex, 0, libc::FUTEX_WAIT as u32),
        (libc::SYS_futex, 0, libc::FUTEX_WAKE as u32),
        (libc::SYS_exit_group, 0, 0),
        // The number of another call with the x32 bit.
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
fn never_takes_the_fast_path() {
    let platform = platform();
    let image = place(&platform, &RETURN_42, &USER);
    let name = Name::new("test").unwrap();
    // SAFETY: the entry is the start of the image's text, which the test wrote.
    let call = unsafe { Call::new(&name, &image, image.segments.base, Reason::Run as u32, &[], Timing::Fast) };
    assert_eq!(platform.call_fast(&call), Err(FastExit::NOT_CALLED));
    let finished = platform.finish_fast(&call, FastExit::NOT_CALLED);
    assert_eq!(finished.map(|returned| returned.outcome.result), Ok(42));
    platform.release(image);
}

#[test]
fn survives_the_end_of_a_process() {
    let platform = platform();
    let image = place(&platform, &RETURN_42, &USER);
    assert_eq!(call(&platform, &image), Ok(42));
    // SAFETY: the process is a child that has not been waited for.
    unsafe { libc::kill(image.child.as_ref().unwrap().id(), libc::SIGKILL) };
    assert_eq!(call(&platform, &image).unwrap_err().kind, FaultKind::GeneralProtection);
    assert_eq!(call(&platform, &image).unwrap_err().kind, FaultKind::GeneralProtection);
    platform.release(image);
}

/// xor rsp, rsp; mov eax, 15 (rt_sigreturn); syscall
#[test]
fn blames_no_division_for_what_the_system_forces() {
    let code = [0x48, 0x31, 0xe4, 0xb8, 15, 0, 0, 0, 0x0f, 0x05];
    let fault = execute(&platform(), &code, &USER).unwrap_err();
    assert_eq!(fault.kind, FaultKind::GeneralProtection);
}
