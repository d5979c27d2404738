//! The descriptor tables, and instructions that read or replace them.

instructions! { in CLASSES:
    lgdt { "push 0", "push 0", "lgdt [rsp]", "add rsp, 16" }
    lidt { "push 0", "push 0", "lidt [rsp]", "add rsp, 16" }
    /// Loads no local table, as before.
    lldt { "xor eax, eax", "lldt ax" }
    /// Loads the task register with the selector of code, which is not a task.
    ltr_code { "mov eax, 8", "ltr ax" }
    /// Loads the task register with the null selector.
    ltr_null { "xor eax, eax", "ltr ax" }
    sgdt { "sub rsp, 16", "sgdt [rsp]", "add rsp, 16" }
    sidt { "sub rsp, 16", "sidt [rsp]", "add rsp, 16" }
    sldt { "sldt eax" }
    str { "str eax" }
    smsw { "smsw eax" }
    /// Queries the kernel's segments, which any code may.
    verify_segments { "mov eax, 8", "lar ecx, eax", "lsl ecx, eax", "verr ax", "verw ax" }
    /// Makes a system call where there is none.
    syscall { "syscall" }
    /// Makes a system call with nonsense in all registers that may be changed.
    syscall_garbage {
        "mov rax, -1", "mov rcx, rax", "mov rdx, 0xffffffff80200000", "mov rsi, rdx", "mov rdi, 0x8000000000000000",
        "mov r8, rax", "mov r9, rax", "mov r10, rdi", "mov r11, rax", "syscall",
    }
    /// Makes a system call with the stack pointer in the kernel's image.
    syscall_kernel_stack -> ! { "mov rsp, 0xffffffff80200100", "syscall", "ud2" }
    /// Makes a system call with a null stack pointer.
    syscall_null_stack -> ! { "xor esp, esp", "syscall", "ud2" }
    sysenter -> ! { "sysenter", "ud2" }
    sysexit -> ! { "lea rdx, [rip + 2f]", "mov rcx, rsp", ".byte 0x48, 0x0f, 0x35", "2: ud2" }
    /// Switches to ring 3 as the kernel does, but to its own code.
    sysretq -> ! { "lea rcx, [rip + 2f]", "mov r11d, 0x202", ".byte 0x48, 0x0f, 0x07", "2: ud2" }
}
