//! The descriptor tables, and what reads or replaces them.

instructions! { in CLASSES:
    lgdt { "push 0", "push 0", "lgdt [rsp]", "add rsp, 16" }
    lidt { "push 0", "push 0", "lidt [rsp]", "add rsp, 16" }
    /// No local table, as before.
    lldt { "xor eax, eax", "lldt ax" }
    /// A task register with the selector of code, which is no task.
    ltr_code { "mov eax, 8", "ltr ax" }
    /// None at all.
    ltr_null { "xor eax, eax", "ltr ax" }
    sgdt { "sub rsp, 16", "sgdt [rsp]", "add rsp, 16" }
    sidt { "sub rsp, 16", "sidt [rsp]", "add rsp, 16" }
    sldt { "sldt eax" }
    str { "str eax" }
    smsw { "smsw eax" }
    /// Asks about the kernel's segments, which everyone may.
    verify_segments { "mov eax, 8", "lar ecx, eax", "lsl ecx, eax", "verr ax", "verw ax" }
    /// System calls from where there are none.
    syscall { "syscall" }
    /// Likewise with nonsense in all registers that may be changed.
    syscall_garbage {
        "mov rax, -1", "mov rcx, rax", "mov rdx, 0xffffffff80200000", "mov rsi, rdx", "mov rdi, 0x8000000000000000",
        "mov r8, rax", "mov r9, rax", "mov r10, rdi", "mov r11, rax", "syscall",
    }
    /// Likewise with the stack pointer in the kernel's image.
    syscall_kernel_stack -> ! { "mov rsp, 0xffffffff80200100", "syscall", "ud2" }
    /// Likewise with none at all.
    syscall_null_stack -> ! { "xor esp, esp", "syscall", "ud2" }
    sysenter -> ! { "sysenter", "ud2" }
    sysexit -> ! { "lea rdx, [rip + 2f]", "mov rcx, rsp", ".byte 0x48, 0x0f, 0x35", "2: ud2" }
    /// Goes to ring 3 as the kernel does, but in its own code.
    sysretq -> ! { "lea rcx, [rip + 2f]", "mov r11d, 0x202", ".byte 0x48, 0x0f, 0x07", "2: ud2" }
}
