//! Instructions that Cranelift does not have.

use bareflow_abi::trap_codes::{HEAP_INSTRUCTION, PANIC_INSTRUCTION};

use crate::routines::Routine;

/// The code of [`Routine::Panic`]: `mov r9, rsp` (the start of the search for callers), then the panic's instruction. The
/// other registers are those of the arguments.
const PANIC: [u8; 7] = {
    let [a, b, c, d] = PANIC_INSTRUCTION;
    [0x49, 0x89, 0xe1, a, b, c, d]
};

/// The code of [`Routine::OutOfHeap`]: `mov r9, rsp; xor edi, edi; xor esi, esi`, then the instruction of a failed allocation. The
/// size is not known, so the two registers are not each other's complement.
const OUT_OF_HEAP: [u8; 11] = {
    let [a, b, c, d] = HEAP_INSTRUCTION;
    [0x49, 0x89, 0xe1, 0x31, 0xff, 0x31, 0xf6, a, b, c, d]
};

/// The code of [`Routine::CopyLong`]: `mov rcx, rdx; rep movsb; ret`.
const COPY_LONG: [u8; 6] = [0x48, 0x89, 0xd1, 0xf3, 0xa4, 0xc3];

/// The code of [`Routine::FillLong`]: `mov eax, esi; mov rcx, rdx; rep stosb; ret`.
const FILL_LONG: [u8; 8] = [0x89, 0xf0, 0x48, 0x89, 0xd1, 0xf3, 0xaa, 0xc3];

/// Returns the machine code of a routine; `None` if Cranelift compiles it.
pub(crate) const fn code(routine: Routine) -> Option<&'static [u8]> {
    match routine {
        Routine::CopyLong => Some(&COPY_LONG),
        Routine::FillLong => Some(&FILL_LONG),
        Routine::Panic => Some(&PANIC),
        Routine::OutOfHeap => Some(&OUT_OF_HEAP),
        _ => None,
    }
}
