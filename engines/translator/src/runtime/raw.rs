//! Instructions that Cranelift does not have.

use bareflow_abi::trap_codes::{HEAP_INSTRUCTION, PANIC_INSTRUCTION};

use crate::names::Routine;

/// The code of [`Routine::Panic`]: `mov r9, rsp` (the start of the search for callers), then the panic's instruction. The
/// other registers are those of the arguments.
const PANIC: [u8; 7] = {
    let [a, b, c, d] = PANIC_INSTRUCTION;
    [0x49, 0x89, 0xe1, a, b, c, d]
};

/// Returns the machine code of a routine; `None` if Cranelift compiles it.
pub(crate) const fn code(routine: Routine) -> Option<&'static [u8]> {
    match routine {
        Routine::Panic => Some(&PANIC),
        Routine::OutOfHeap => Some(&HEAP_INSTRUCTION),
        _ => None,
    }
}
