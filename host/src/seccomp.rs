//! What a process may ask of the system in which a module runs: to sleep until
//! its turn, to wake who waits for it, to go on behind a signal, and to end.

use std::io;

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter, sock_fprog};

/// Places in what the system shows a filter (Linux, `struct seccomp_data`).
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const SECOND_ARGUMENT: u32 = 24;

/// `AUDIT_ARCH_X86_64`: 64-bit calls alone, where numbers mean what they mean here.
const X86_64: u32 = 0xc000_003e;

const fn load(place: u32) -> sock_filter {
    sock_filter { code: (BPF_LD | BPF_W | BPF_ABS) as u16, jt: 0, jf: 0, k: place }
}

/// Skips instructions: `yes` if the value is that, `no` if it is not.
const fn compare(value: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | BPF_JEQ | BPF_K) as u16, jt: yes, jf: no, k: value }
}

const fn finish(action: u32) -> sock_filter {
    sock_filter { code: (BPF_RET | BPF_K) as u16, jt: 0, jf: 0, k: action }
}

/// Everything else is refused with a signal, which is the module's fault.
static FILTER: [sock_filter; 11] = [
    load(ARCHITECTURE),
    compare(X86_64, 0, 7),
    load(NUMBER),
    compare(libc::SYS_rt_sigreturn as u32, 6, 0),
    compare(libc::SYS_exit_group as u32, 5, 0),
    compare(libc::SYS_futex as u32, 0, 3),
    load(SECOND_ARGUMENT),
    compare(libc::FUTEX_WAIT as u32, 2, 0),
    compare(libc::FUTEX_WAKE as u32, 1, 0),
    finish(libc::SECCOMP_RET_TRAP),
    finish(libc::SECCOMP_RET_ALLOW),
];

/// Gives this process the filter, for good.
pub(crate) fn confine() -> io::Result<()> {
    let program = sock_fprog { len: FILTER.len() as u16, filter: FILTER.as_ptr().cast_mut() };
    // SAFETY: the system copies the filter, and changes no memory.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
