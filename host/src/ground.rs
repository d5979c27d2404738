//! Fresh memory for a process that is to keep nothing of its parent's: a stack to go on with, and one for signals.

use std::arch::global_asm;
use std::arch::x86_64::__cpuid;
use std::ffi::c_void;
use std::io;
use std::ptr::{null_mut, without_provenance_mut};

/// Bytes below the stack that are never mapped.
const GUARD_SIZE: usize = 64 << 10;

/// Bytes of the stack, and of that for signals.
const STACK_SIZE: usize = 256 << 10;
const SIGNALS_SIZE: usize = 64 << 10;

/// Bytes of all of it.
const SIZE: usize = GUARD_SIZE + STACK_SIZE + SIGNALS_SIZE;

/// Bit of leaf 1, ecx (Intel SDM volume 2, CPUID): `xrstor` may be used.
const HAS_XSAVE: u32 = 1 << 27;

/// What both instructions read (Intel SDM volume 1, 13.4): two control words, and a header that says that all else
/// is as after a reset.
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

// What `work` takes lies on top of the new stack. Nothing of before stays in the registers of the vector units.
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

/// The memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground {
    start: usize,
}

impl Ground {
    /// Maps it.
    pub fn map() -> io::Result<Ground> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: the system chooses the place, so that nothing is replaced.
        let start = unsafe { libc::mmap(null_mut(), SIZE, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
        // SAFETY: the pages were just mapped and nobody uses them.
        if start == libc::MAP_FAILED || unsafe { libc::mprotect(start, GUARD_SIZE, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Ground { start: start.expose_provenance() })
    }

    /// Its first address, and the one behind its last.
    pub const fn range(self) -> (u64, u64) {
        (self.start as u64, (self.start + SIZE) as u64)
    }

    /// The stack for signals: its first address, and its size.
    pub const fn signals(self) -> (*mut c_void, usize) {
        (without_provenance_mut(self.start + GUARD_SIZE + STACK_SIZE), SIGNALS_SIZE)
    }

    /// Goes on with `work` on the stack, with `what`, for good.
    pub fn go_on<T>(self, what: T, work: extern "C" fn(*mut T) -> !) -> ! {
        let top = self.start + GUARD_SIZE + STACK_SIZE;
        let target = std::ptr::with_exposed_provenance_mut::<T>((top - size_of::<T>()) & !63);
        // SAFETY: the place is aligned, lies in memory that `map` mapped, and is nobody else's; the work begins below it, as
        // a function does, and never returns. The instruction is there where the processor says so.
        unsafe {
            target.write(what);
            let has_xsave = __cpuid(1).ecx & HAS_XSAVE;
            bareflow_host_go_on(target.cast(), work as *const c_void, &raw const CLEAR_STATE, has_xsave)
        }
    }
}
