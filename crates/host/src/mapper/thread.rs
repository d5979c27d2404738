//! The thread itself, and how it starts.

use std::arch::global_asm;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::without_provenance_mut;
use std::sync::atomic::{AtomicI32, Ordering};

use bareflow_loader::segments::PAGE_SIZE;
use libc::{c_int, c_uint, sock_fprog};

use crate::seccomp;
use crate::signal_mask::all_blocked;

/// The answers: an order was carried out, or not.
pub(super) const DONE: u8 = 1;
const FAILED: u8 = 0;

/// A thread of this process, which shares its memory, but has descriptors of its own.
const FLAGS: c_int = libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND;

/// The value of the word of a thread that has not yet started.
const STARTING: i32 = -1;

unsafe extern "C" {
    fn bareflow_host_mapper_start(
        page: u64,
        socket: c_int,
        filter: *const sock_fprog,
        started: *const AtomicI32,
    ) -> i64;
    safe fn bareflow_host_mapper_received();
    safe fn bareflow_host_mapper_obeyed();
    safe fn bareflow_host_mapper_answered();
    safe fn bareflow_host_mapper_left();
}

// The new thread begins with a copy of all registers. It does not touch the stack, which is the other thread's, and has
// its state in registers alone. A message's bytes are not asked for, only how many they are.
global_asm!(
    ".global bareflow_host_mapper_start",
    ".global bareflow_host_mapper_received",
    ".global bareflow_host_mapper_obeyed",
    ".global bareflow_host_mapper_answered",
    ".global bareflow_host_mapper_left",
    "bareflow_host_mapper_start:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "mov rbx, rdi",
    "mov ebp, esi",
    "mov r12, rdx",
    "mov r13, rcx",
    "mov edi, {flags}",
    "xor esi, esi",
    "xor edx, edx",
    "xor r10d, r10d",
    "xor r8d, r8d",
    "mov eax, {clone}",
    "syscall",
    "test rax, rax",
    "jz 2f",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    // The other thread waits for this word.
    "2: mov edi, {set_seccomp}",
    "mov esi, {filter}",
    "mov rdx, r12",
    "mov eax, {prctl}",
    "syscall",
    "neg eax",
    "mov [r13], eax",
    "jnz 4f",
    "3: mov edi, ebp",
    "xor esi, esi",
    "xor edx, edx",
    "mov r10d, {truncate}",
    "xor r8d, r8d",
    "xor r9d, r9d",
    "mov eax, {recvfrom}",
    "syscall",
    "bareflow_host_mapper_received:",
    "cmp rax, 1",
    "jne 4f",
    "mov rax, [rbx]",
    "mov rdi, [rbx + 8]",
    "mov rsi, [rbx + 16]",
    "mov rdx, [rbx + 24]",
    "mov r10, [rbx + 32]",
    "mov r8, [rbx + 40]",
    "mov r9, [rbx + 48]",
    "syscall",
    "bareflow_host_mapper_obeyed:",
    "lea rsi, [rip + 5f]",
    "lea rcx, [rip + 6f]",
    "cmp rax, -4095",
    "cmovae rsi, rcx",
    "mov edi, ebp",
    "mov edx, 1",
    "mov r10d, {no_signal}",
    "xor r8d, r8d",
    "xor r9d, r9d",
    "mov eax, {sendto}",
    "syscall",
    "bareflow_host_mapper_answered:",
    "jmp 3b",
    "4: mov edi, 1",
    "mov eax, {exit_group}",
    "syscall",
    "bareflow_host_mapper_left:",
    "ud2",
    "5: .byte {done}",
    "6: .byte {failed}",
    flags = const FLAGS,
    clone = const libc::SYS_clone,
    set_seccomp = const libc::PR_SET_SECCOMP,
    filter = const libc::SECCOMP_MODE_FILTER,
    prctl = const libc::SYS_prctl,
    truncate = const libc::MSG_TRUNC,
    recvfrom = const libc::SYS_recvfrom,
    no_signal = const libc::MSG_NOSIGNAL,
    sendto = const libc::SYS_sendto,
    exit_group = const libc::SYS_exit_group,
    done = const DONE,
    failed = const FAILED,
);

/// Returns the system calls that the thread makes: their numbers, and the addresses behind their instructions.
pub(crate) fn calls() -> [(libc::c_long, u64); 5] {
    [
        (libc::SYS_recvfrom, bareflow_host_mapper_received as *const () as u64),
        (libc::SYS_mmap, bareflow_host_mapper_obeyed as *const () as u64),
        (libc::SYS_munmap, bareflow_host_mapper_obeyed as *const () as u64),
        (libc::SYS_sendto, bareflow_host_mapper_answered as *const () as u64),
        (libc::SYS_exit_group, bareflow_host_mapper_left as *const () as u64),
    ]
}

/// The needs of the thread, in the process in which it starts.
#[derive(Debug)]
pub(crate) struct MapperThread {
    pub(super) socket: OwnedFd,
    /// The address of the page of orders.
    pub(super) page: u64,
    pub(super) file: RawFd,
}

impl MapperThread {
    /// Returns the pages that it needs: the first address, and the one after the last.
    pub const fn range(&self) -> (u64, u64) {
        (self.page, self.page + PAGE_SIZE)
    }

    /// Starts the thread, which keeps two descriptors, its own and the file's, and no other. This process must already be
    /// one that gains no privileges.
    pub fn start(&self) -> Option<()> {
        let (socket, file) = (self.socket.as_raw_fd(), self.file);
        let (low, high) = (socket.min(file).cast_unsigned(), socket.max(file).cast_unsigned());
        let others = [(0, low.checked_sub(1)), (low + 1, high.checked_sub(1)), (high + 1, Some(c_uint::MAX))];
        for (first, last) in others {
            if let Some(last) = last.filter(|&last| first <= last) {
                // SAFETY: closes descriptors that are not used in this process.
                done(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) })?;
            }
        }
        let page = without_provenance_mut(self.page as usize);
        // SAFETY: nothing in this process writes to the page.
        done(unsafe { libc::mprotect(page, PAGE_SIZE as usize, libc::PROT_READ) }.into())?;
        let filter = seccomp::mapper_filter(calls());
        let program = sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        let started = AtomicI32::new(STARTING);
        // SAFETY: the thread uses the filter and the word until that is set, which is waited for, and from then on the page
        // and descriptors, which are its own. No signal is handled on it.
        let thread = all_blocked(|| unsafe {
            bareflow_host_mapper_start(self.page, socket, &raw const program, &raw const started)
        });
        if thread < 0 {
            return None;
        }
        while started.load(Ordering::Acquire) == STARTING {
            // SAFETY: changes no memory.
            unsafe { libc::sched_yield() };
        }
        (started.load(Ordering::Acquire) == 0).then_some(())
    }
}

fn done(result: i64) -> Option<()> {
    (result == 0).then_some(())
}
