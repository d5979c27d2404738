//! Interrupts by instruction, and flags by which the processor interrupts itself.

instructions! { in CLASSES:
    int3 { ".byte 0xcc" }
    /// `int 3` in two bytes.
    int_3 { ".byte 0xcd, 3" }
    /// `int1`, which raises the debug exception.
    icebp { ".byte 0xf1" }
    int_0 { ".byte 0xcd, 0" }
    int_1 { ".byte 0xcd, 1" }
    int_2 { ".byte 0xcd, 2" }
    int_4 { ".byte 0xcd, 4" }
    int_5 { ".byte 0xcd, 5" }
    int_6 { ".byte 0xcd, 6" }
    int_7 { ".byte 0xcd, 7" }
    int_8 { ".byte 0xcd, 8" }
    int_10 { ".byte 0xcd, 10" }
    int_11 { ".byte 0xcd, 11" }
    int_12 { ".byte 0xcd, 12" }
    int_13 { ".byte 0xcd, 13" }
    int_14 { ".byte 0xcd, 14" }
    int_16 { ".byte 0xcd, 16" }
    int_17 { ".byte 0xcd, 17" }
    int_18 { ".byte 0xcd, 18" }
    int_19 { ".byte 0xcd, 19" }
    int_32 { ".byte 0xcd, 32" }
    /// The vector on which the timer's interrupts arrive that were taken back.
    int_47 { ".byte 0xcd, 47" }
    int_128 { ".byte 0xcd, 0x80" }
    int_255 { ".byte 0xcd, 255" }
    /// Single steps.
    trap_flag { "pushfq", "or dword ptr [rsp], 0x100", "popfq", "nop" }
    /// Single steps into the kernel.
    trap_flag_syscall { "pushfq", "or dword ptr [rsp], 0x100", "popfq", "syscall" }
    /// Likewise, with the trap put off by one instruction, as a write to `ss` does.
    shadowed_syscall { "mov eax, ss", "pushfq", "or dword ptr [rsp], 0x100", "popfq", "mov ss, eax", "syscall" }
    /// Single steps through an interrupt instruction.
    shadowed_int3 { "mov eax, ss", "pushfq", "or dword ptr [rsp], 0x100", "popfq", "mov ss, eax", "int3" }
    /// Gives itself the right to use ports, and uses one: the serial line's status.
    raise_iopl { "pushfq", "or dword ptr [rsp], 0x3000", "popfq", "mov edx, 0x3fd", "in al, dx" }
    /// Runs for some ticks behind an instruction whose last two bytes are those of `int 32`.
    ticks_behind_cd20 { "mov ecx, 5000000", "mov eax, 0x20cd0000", "2: dec ecx", "jnz 2b" }
    /// The same for other vectors: the bytes are part of a number, and the fault is what it looks like.
    divide_behind_cd00 { "xor ecx, ecx", "xor edx, edx", "mov eax, 0x00cd1234", "div ecx" }
    wide_divide_behind_cd00 { "push 0", "xor edx, edx", "mov eax, 0x00cd1234", "idiv qword ptr [rsp]", "pop rax" }
    opcode_behind_cd06 { "mov eax, 0x06cd1234", "ud2" }
    read_behind_cd0e { "xor ecx, ecx", "mov eax, 0x0ecd1234", "mov eax, [rcx]" }
    push_behind_cd0e -> ! { "mov eax, 0x0ecd1234", "2: push rax", "jmp 2b" }
    x87_behind_cd10 {
        "fninit", "push 0", "fldcw [rsp]", "fld1", "fldz", "fdivp", "mov eax, 0x10cd1234", "fwait", "fninit", "pop rax",
    }
    /// A debug register that it meets itself.
    meet_debug_register {
        "lea rcx, [rip + 2f]", "mov dr0, rcx", "mov ecx, 0x401", "mov dr7, rcx", "2: nop",
    }
    /// The same where the kernel's own code meets it: at the context, which lies on the kernel's stack.
    watch_context { "mov dr0, rdi", "mov ecx, 0xf0001", "mov dr7, rcx" }
    /// The registers' own guard: the next access to one is an exception.
    guard_debug_registers { "mov ecx, 0x2400", "mov dr7, rcx" }
}
