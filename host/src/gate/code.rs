//! The gates' own code: onto the module's stack, into the module, and back with what a function must
//! preserve.
//!
//! They differ in how they read the clock right before and right behind the call, and in what they do
//! about the control bits of MXCSR. To look at these takes longer than all else together: a thorough gate
//! does, and ends a call that changed them; any other puts them right unseen.

use std::arch::global_asm;

/// The readings of the clock, as `clock.rs` has them, and what is done about MXCSR.
macro_rules! code {
    (fast before) => {
        "rdtsc\n shl rdx, 32\n or rax, rdx\n mov [rcx + 24], rax"
    };
    (fast behind) => {
        "rdtsc\n shl rdx, 32\n or rax, rdx\n mov r9, rax"
    };
    (precise before) => {
        "lfence\n rdtsc\n shl rdx, 32\n or rax, rdx\n mov [rcx + 24], rax"
    };
    (precise behind) => {
        "lfence\n rdtsc\n shl rdx, 32\n or rax, rdx\n mov r9, rax"
    };
    (untimed $where:ident) => {
        ""
    };
    (put right) => {
        "ldmxcsr [rip + bareflow_host_mxcsr]"
    };
    (look at) => {
        "stmxcsr [rsp - 8]\n mov ecx, [rsp - 8]\n and ecx, 0xffc0\n cmp ecx, 0x1f80\n jne bareflow_host_clobbered"
    };
}

/// A gate of that name.
macro_rules! gate {
    ($name:literal, $clock:ident, $put_or_look:ident $right_or_at:ident) => {
        global_asm!(
            concat!(".global ", $name),
            ".balign 64",
            concat!($name, ":"),
            "push rbp",
            "push rbx",
            "mov [rcx], rsp",
            "mov rsp, [rcx + 8]",
            // What a function must keep: zeros, where the caller needs them no more.
            "xor r12d, r12d",
            "xor r13d, r13d",
            "xor r14d, r14d",
            "xor r15d, r15d",
            code!($clock before),
            "call r8",
            "mov r8d, eax",
            code!($clock behind),
            // Did the module keep it (System V ABI 3.2.1)?
            "mov r11, [rip + bareflow_host_record@GOTTPOFF]",
            "mov r11, fs:[r11]",
            "mov rdx, [r11]",
            "cmp rsp, [r11 + 8]",
            "jne bareflow_host_clobbered",
            "or r12, r13",
            "or r14, r15",
            "or r12, r14",
            "jne bareflow_host_clobbered",
            "cmp rbp, [rdx + 8]",
            "jne bareflow_host_clobbered",
            "cmp rbx, [rdx]",
            "jne bareflow_host_clobbered",
            // The flags for direction, nested tasks and alignment are clear.
            "pushfq",
            "pop rcx",
            "test ecx, 0x44400",
            "jnz bareflow_host_clobbered",
            code!($put_or_look $right_or_at),
            // From here on the call can't be ended from outside any more.
            "mov qword ptr [r11], 0",
            "lea rsp, [rdx + 16]",
            "xor edx, edx",
            "ret",
        );
    };
}

gate!("bareflow_host_fast", fast, put right);
gate!("bareflow_host_fast_thorough", fast, look at);
gate!("bareflow_host_precise", precise, put right);
gate!("bareflow_host_precise_thorough", precise, look at);
gate!("bareflow_host_untimed", untimed, put right);

global_asm!(
    // A fault: the signal handler came here, with the stack as the gate left it.
    ".global bareflow_host_recover",
    "bareflow_host_recover:",
    "mov edx, 2",
    "jmp 4f",
    "bareflow_host_clobbered:",
    "mov edx, 1",
    "4: mov r11, [rip + bareflow_host_record@GOTTPOFF]",
    "mov rcx, fs:[r11]",
    "mov rsp, [rcx]",
    "mov qword ptr [rcx], 0",
    "push 0x202",
    "popfq",
    "fninit",
    "ldmxcsr [rip + bareflow_host_mxcsr]",
    "pop rbx",
    "pop rbp",
    "ret",
    ".balign 4",
    "bareflow_host_mxcsr: .long 0x1f80",
    // Each thread's innermost call: the gates read it, since a module may have destroyed every register.
    ".section .tbss.bareflow_host_record, \"awT\", @nobits",
    ".balign 8",
    ".global bareflow_host_record",
    ".hidden bareflow_host_record",
    "bareflow_host_record: .zero 8",
    ".text",
    ".global bareflow_host_thread",
    "bareflow_host_thread:",
    "mov rax, fs:[0]",
    "add rax, [rip + bareflow_host_record@GOTTPOFF]",
    "ret",
);
