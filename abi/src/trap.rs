//! What a module's panic looks like from outside.

/// The instruction a module's panic handler ends in: `ud1 eax, [rax + 0x62]`.
/// It raises the invalid-opcode exception, and no compiler emits it otherwise.
pub const PANIC_INSTRUCTION: [u8; 4] = [0x0f, 0xb9, 0x40, 0x62];
