//! Fresh memory for a process that must keep nothing of its parent's: a stack to continue on, and one for signals.

use std::arch::global_asm;
use std::arch::x86_64::__cpuid;
use std::ffi::c_void;
use std::io;
use std::ptr::{null_mut, without_provenance_mut};

/// The size of the unmapped guard below the stack, in bytes.
const GUARD_SIZE: usize = 64 << 10;

/// The sizes of the stack and of the signal stack, in bytes.
const STACK_SIZE: usize = 256 << 10;
const SIGNALS_SIZE: usize = 64 << 10;

/// The size of all parts together, in bytes.
const SIZE: usize = GUARD_SIZE + STACK_SIZE + SIGNALS_SIZE;

/// The bit of leaf 1, ECX, that says that XSAVE and `xrstor` are enabled (Intel SDM volume 2, CPUID: OSXSAVE).
const HAS_XSAVE: u32 = 1 << 27;

/// The data that both restore instructions read (Intel SDM volume 1, 13.4): two control words, and a header that says
/// that all other state is as after a reset.
#[repr(C, align(64))]
struct ClearState([u16; 512]);

static CLEAR_STATE: ClearState = {
    let mut state = [0; 512];
    // The x87 control word, at byte 0; MXCSR, at byte 24.
    state[0] = 0x37f;
    state[12] = 0x1f80;
    ClearState(state)
};

unsafe extern "C" {
    fn bareflow_host_go_on(what: *mut c_void, work: *const c_void, clear: *const ClearState, has_xsave: u32) -> !;
}

// The argument of `work` lies at the top of the new stack. The vector registers keep nothing of their former contents.
global_asm!(
    ".global bareflow_host_go_on",
    "bareflow_host_go_on:",
    "mov rsp, rdi",
    "and rsp, -16",
    "mov r8, rdx",
    "test ecx, ecx",
    "jz 2f",
    "mov eax, -1",
    "mov edx, eax",
    "xrstor64 [r8]",
    "jmp 3f",
    "2: fxrstor64 [r8]",
    "3: xor ebp, ebp",
    "call rsi",
    "ud2",
);

/// The mapped memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground {
    start: usize,
}

impl Ground {
    /// Maps the memory.
    pub fn map() -> io::Result<Ground> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: the system chooses the address, so nothing is replaced.
        let start = unsafe { libc::mmap(null_mut(), SIZE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        // SAFETY: the pages were just mapped, and nothing uses them.
        if start == libc::MAP_FAILED || unsafe { libc::mprotect(start, GUARD_SIZE, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Ground { start: start.expose_provenance() })
    }

    /// Returns the first address, and the one after the last.
    pub const fn range(self) -> (u64, u64) {
        (self.start as u64, (self.start + SIZE) as u64)
    }

    /// Returns the stack for signals: its first address, and its size.
    pub const fn signals(self) -> (*mut c_void, usize) {
        (without_provenance_mut(self.start + GUARD_SIZE + STACK_SIZE), SIGNALS_SIZE)
    }

    /// Moves `what` to the new stack and continues there with `work`, which never returns.
    pub fn go_on<T>(self, what: T, work: extern "C" fn(*mut T) -> !) -> ! {
        let top = self.start + GUARD_SIZE + STACK_SIZE;
        let target = std::ptr::with_exposed_provenance_mut::<T>((top - size_of::<T>()) & !63);
        // SAFETY: the place is aligned, lies in memory that `map` mapped, and nothing else uses it. `work` starts below
        // it, with the stack aligned as for any function, and never returns. `xrstor` is used only if the processor has
        // it enabled.
        unsafe {
            target.write(what);
            let has_xsave = __cpuid(1).ecx & HAS_XSAVE;
            bareflow_host_go_on(target.cast(), work as *const c_void, &raw const CLEAR_STATE, has_xsave)
        }
    }
}
