use super::*;
use crate::channel::KEPT;
use bareflow_abi::CallRefusal;
use bareflow_abi::interface::{CallError, Frame, Reply, Shape};
use bareflow_loader::Callees;

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

/// An import with a method without arguments, and whether it was called.
#[derive(Default)]
struct Import(std::cell::Cell<bool>);

impl Callees for Import {
    fn call(&self, _: &[u8], _: &[u8], _: &mut [u8]) -> Result<CallOutcome, CallRefusal> {
        Err(CallRefusal::NotLoaded)
    }
    fn shape(&self, _: u32, _: u32) -> Result<Shape, CallError> {
        Ok(Shape::EMPTY)
    }
    fn invoke(&self, _: u32, _: u32, _: &mut Frame<'_>) -> Reply {
        self.0.set(true);
        Reply { status: 0, value: 0 }
    }
}

// A module that speaks for its process: it gets the addresses of the turn and of a message's words, and sends messages of
// five words each.
std::arch::global_asm!(
    ".global bareflow_test_forger, bareflow_test_forger_end",
    "bareflow_test_forger:",
    "mov rsi, [rdi + 24]",
    "mov rdx, [rsi]",
    "mov rax, [rsi + 8]",
    "add rsi, 16",
    "2: mov rdi, rax",
    "mov ecx, 5",
    "rep movsq",
    "mov dword ptr [rdx], 0",
    "3: pause",
    "cmp dword ptr [rdx], 1",
    "jne 3b",
    "jmp 2b",
    "bareflow_test_forger_end:",
);

#[test]
fn passes_no_more_on_than_a_module_has() {
    unsafe extern "C" {
        static bareflow_test_forger: u8;
        static bareflow_test_forger_end: u8;
    }
    let (start, end) = (&raw const bareflow_test_forger, &raw const bareflow_test_forger_end);
    // SAFETY: the two lie around the code above.
    let code = unsafe { std::slice::from_raw_parts(start, end.addr() - start.addr()) };
    for (input, output, is_called) in
        [(0, 8, true), (0, 16, false), (8, 8, false), (0, 64 << 20, false), (64 << 20, 8, false)]
    {
        let platform = platform();
        let image = place(&platform, code, &USER);
        let channel = &image.child.as_ref().unwrap().channel;
        let places = [channel.handoff().word().as_ptr().addr(), channel.words().as_ptr().addr()].map(|at| at as u64);
        // A method's call with so many bytes; the frame is there; returned with 42.
        let messages = [[8, 0, 0, input, output], [5, 0, 0, 0, 0], [2, 42, 0, 0, 0]];
        let words = places.into_iter().chain(messages.into_iter().flatten());
        let input: Vec<_> = words.flat_map(u64::to_le_bytes).collect();
        let (name, entry, import) = (Name::new("test").unwrap(), image.segments.base, Import::default());
        // SAFETY: the entry is the start of the image's text, which the test wrote.
        let call = unsafe { Call::new(&name, &image, entry, Reason::Run as u32, &input, Timing::Fast) };
        let done = platform.call_with_callees(&call, &mut [], &import).map(|returned| returned.outcome.result);
        assert_eq!((done == Ok(42), import.0.get()), (is_called, is_called), "{output} {done:?}");
        assert!(channel.room() < KEPT, "the parent made room for it");
        platform.release(image);
    }
}
