//! What a module's own end looks like from outside: a panic, or a heap that is used up.

/// The instruction a module's panic handler ends in: `ud1 eax, [rax + 0x62]`.
/// It raises the invalid-opcode exception, and no compiler emits it otherwise.
pub const PANIC_INSTRUCTION: [u8; 4] = [0x0f, 0xb9, 0x40, 0x62];

/// The same where the heap is used up: `ud1 eax, [rax + 0x68]`.
pub const HEAP_INSTRUCTION: [u8; 4] = [0x0f, 0xb9, 0x40, 0x68];

/// Bytes of a panic's message that are kept, in UTF-8. A length above says that the message was longer.
pub const PANIC_TEXT_SIZE: usize = 256;
