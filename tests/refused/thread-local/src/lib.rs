//! A module with thread-local storage.

#![no_std]

bareflow_abi::module!(run);

core::arch::global_asm!(
    ".section .tdata, \"awT\", @progbits",
    ".global per_thread",
    ".type per_thread, @object",
    "per_thread: .long 1",
    ".size per_thread, 4",
    ".text",
);

fn run() -> i32 {
    let value: i32;
    // SAFETY: it never runs, since the module can't be packed.
    unsafe { core::arch::asm!("mov {0:e}, dword ptr fs:[per_thread@tpoff]", out(reg) value) };
    value
}
