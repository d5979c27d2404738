//! The instructions by which a module reports a panic or an exhausted heap.

/// The instruction at the end of a module's panic handler: `ud1 eax, [rax + 0x62]`.
///
/// It raises the invalid-opcode exception, and no compiler emits it otherwise.
pub const PANIC_INSTRUCTION: [u8; 4] = [0x0f, 0xb9, 0x40, 0x62];

/// The instruction by which a module's allocator reports an exhausted heap: `ud1 eax, [rax + 0x68]`.
pub const HEAP_INSTRUCTION: [u8; 4] = [0x0f, 0xb9, 0x40, 0x68];

/// The number of bytes of a panic's message that are kept, in UTF-8. A greater length means that it was cut.
pub const PANIC_TEXT_SIZE: usize = 256;
