//! The system calls that remain for a process in which a module runs: to sleep until its turn, to wake the waiting
//! side, to return from a signal handler, and to exit.
//!
//! All but the return from a handler, which concerns only its own registers, are allowed from two of our instructions
//! only, and only with the arguments that those use.
//!
//! The filter is written here, since crates for filters (`seccompiler`, and those over libseccomp) compare a call's
//! number and arguments, but not the address that it comes from.

use std::arch::global_asm;
use std::io;
use std::ptr::null;
use std::sync::atomic::AtomicU32;

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, c_int, sock_filter, sock_fprog, timespec};

unsafe extern "C" {
    fn bareflow_host_futex(word: *const AtomicU32, operation: c_int, value: u32, time: *const timespec);
    safe fn bareflow_host_futex_end();
    safe fn bareflow_host_leave() -> !;
    safe fn bareflow_host_leave_end();
}

// The system reports to a filter the address after the instruction.
global_asm!(
    ".global bareflow_host_futex",
    ".global bareflow_host_futex_end",
    ".global bareflow_host_leave",
    ".global bareflow_host_leave_end",
    "bareflow_host_futex:",
    "mov r10, rcx",
    "mov eax, {futex}",
    "syscall",
    "bareflow_host_futex_end:",
    "ret",
    "bareflow_host_leave:",
    "mov edi, 1",
    "mov eax, {exit_group}",
    "syscall",
    "bareflow_host_leave_end:",
    "ud2",
    futex = const libc::SYS_futex,
    exit_group = const libc::SYS_exit_group,
);

/// Sleeps while the word has the value `value`, at most for `longest`.
pub(crate) fn sleep(word: &AtomicU32, value: u32, longest: Option<&timespec>) {
    // SAFETY: the system reads the word and the time, which both exist.
    unsafe { bareflow_host_futex(word, libc::FUTEX_WAIT, value, longest.map_or(null(), |time| &raw const *time)) };
}

/// Wakes the side that sleeps on the word.
pub(crate) fn wake(word: &AtomicU32) {
    // SAFETY: touches no memory.
    unsafe { bareflow_host_futex(word, libc::FUTEX_WAKE, 1, null()) };
}

/// Ends the process after an error.
pub(crate) fn leave() -> ! {
    bareflow_host_leave()
}

/// Offsets in the data that the system passes to a filter (Linux, `struct seccomp_data`), and the offset of a number's
/// upper half.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const INSTRUCTION: u32 = 8;
const ARGUMENTS: [u32; 4] = [16, 24, 32, 40];
const UPPER: u32 = 4;

/// `AUDIT_ARCH_X86_64`: only 64-bit calls, to which the call numbers here apply.
const X86_64: u32 = 0xc000_003e;

const fn load(offset: u32) -> sock_filter {
    sock_filter { code: (BPF_LD | BPF_W | BPF_ABS) as u16, jt: 0, jf: 0, k: offset }
}

/// Compares, and skips `yes` instructions if the value is equal, or `no` if it is not.
const fn compare(value: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | BPF_JEQ | BPF_K) as u16, jt: yes, jf: no, k: value }
}

const fn finish(action: u32) -> sock_filter {
    sock_filter { code: (BPF_RET | BPF_K) as u16, jt: 0, jf: 0, k: action }
}

/// Returns the lower and the upper half of a number.
const fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

/// The number of instructions, and the indices of the last two: the one that refuses, with a signal that becomes the
/// module's fault, and the one that allows.
const LENGTH: usize = 29;
const REFUSE: u8 = 27;
const ALLOW: u8 = 28;

/// Returns the filter of a process that sleeps on `word`. Jump distances count from the next instruction.
fn filter(word: u64) -> [sock_filter; LENGTH] {
    let refuse = |at: u8| REFUSE - at - 1;
    let allow = |at: u8| ALLOW - at - 1;
    let [futex, futex_upper] = halves(bareflow_host_futex_end as *const () as u64);
    let [leave, leave_upper] = halves(bareflow_host_leave_end as *const () as u64);
    let [word, word_upper] = halves(word);
    [
        load(ARCHITECTURE),
        compare(X86_64, 0, refuse(1)),
        load(NUMBER),
        compare(libc::SYS_rt_sigreturn as u32, allow(3), 0),
        compare(libc::SYS_exit_group as u32, 23 - 5, 0),
        compare(libc::SYS_futex as u32, 0, refuse(5)),
        // Sleep or wake.
        load(INSTRUCTION),
        compare(futex, 0, refuse(7)),
        load(INSTRUCTION + UPPER),
        compare(futex_upper, 0, refuse(9)),
        load(ARGUMENTS[0]),
        compare(word, 0, refuse(11)),
        load(ARGUMENTS[0] + UPPER),
        compare(word_upper, 0, refuse(13)),
        load(ARGUMENTS[1]),
        compare(libc::FUTEX_WAIT as u32, 0, 20 - 16),
        // Sleep, without a timeout.
        load(ARGUMENTS[3]),
        compare(0, 0, refuse(17)),
        load(ARGUMENTS[3] + UPPER),
        compare(0, allow(19), refuse(19)),
        // Wake one.
        compare(libc::FUTEX_WAKE as u32, 0, refuse(20)),
        load(ARGUMENTS[2]),
        compare(1, allow(22), refuse(22)),
        // Exit.
        load(INSTRUCTION),
        compare(leave, 0, refuse(24)),
        load(INSTRUCTION + UPPER),
        compare(leave_upper, allow(26), refuse(26)),
        finish(libc::SECCOMP_RET_TRAP),
        finish(libc::SECCOMP_RET_ALLOW),
    ]
}

/// The numbers of instructions for one call of a mapper's filter, and of all.
const MAPPER_BLOCK: usize = 6;
const MAPPER_LENGTH: usize = 2 + 5 * MAPPER_BLOCK + 2;

/// Returns the filter of a thread that makes these calls, each from one instruction, whose end is given. Any other call
/// ends the process.
pub(crate) fn mapper_filter(calls: [(libc::c_long, u64); 5]) -> [sock_filter; MAPPER_LENGTH] {
    let to_end = |at: usize| (MAPPER_LENGTH - 2 - at - 1) as u8;
    let instruction = |at: usize| {
        let Some(block) = at.checked_sub(2) else { return [load(ARCHITECTURE), compare(X86_64, 0, to_end(at))][at] };
        let Some(&(number, behind)) = calls.get(block / MAPPER_BLOCK) else {
            let is_last = at == MAPPER_LENGTH - 1;
            return finish(if is_last { libc::SECCOMP_RET_ALLOW } else { libc::SECCOMP_RET_KILL_PROCESS });
        };
        let [low, upper] = halves(behind);
        match block % MAPPER_BLOCK {
            0 => load(NUMBER),
            1 => compare(number as u32, 0, MAPPER_BLOCK as u8 - 2),
            2 => load(INSTRUCTION),
            3 => compare(low, 0, to_end(at)),
            4 => load(INSTRUCTION + UPPER),
            _ => compare(upper, to_end(at) + 1, to_end(at)),
        }
    };
    std::array::from_fn(instruction)
}

/// Installs the filter in this process, for good. It may only sleep on `word`.
pub(crate) fn sandbox(word: &AtomicU32) -> io::Result<()> {
    let filter = filter(word.as_ptr().addr() as u64);
    let program = sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the system copies the filter, and changes no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
