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
    /// The vector for interrupts of the timer that were withdrawn.
    int_47 { ".byte 0xcd, 47" }
    int_128 { ".byte 0xcd, 0x80" }
    int_255 { ".byte 0xcd, 255" }
    /// Sends itself an interrupt of each vector from 33 on, as any device could, by the local APIC's command register.
    send_all_vectors {
        "mov rcx, 0xffffffff8e000300", "mov eax, 0x40021", "2: mov [rcx], eax", "inc eax", "test al, al", "jnz 2b",
    }
    /// Single-steps.
    trap_flag { "pushfq", "or dword ptr [rsp], 0x100", "popfq", "nop" }
    /// Single-steps into the kernel.
    trap_flag_syscall { "pushfq", "or dword ptr [rsp], 0x100", "popfq", "syscall" }
    /// Single-steps into the kernel with the trap delayed by one instruction, as after a write to `ss`.
    shadowed_syscall { "mov eax, ss", "pushfq", "or dword ptr [rsp], 0x100", "popfq", "mov ss, eax", "syscall" }
    /// Single-steps through an interrupt instruction.
    shadowed_int3 { "mov eax, ss", "pushfq", "or dword ptr [rsp], 0x100", "popfq", "mov ss, eax", "int3" }
    /// Gives itself access to ports, and uses one: the serial line's status.
    raise_iopl { "pushfq", "or dword ptr [rsp], 0x3000", "popfq", "mov edx, 0x3fd", "in al, dx" }
    /// Runs for some ticks after an instruction whose last two bytes are those of `int 32`.
    ticks_behind_cd20 { "mov ecx, 5000000", "mov eax, 0x20cd0000", "2: dec ecx", "jnz 2b" }
    /// Faults after bytes of other vectors, which are part of a number: the fault must be reported as what it is.
    divide_behind_cd00 { "xor ecx, ecx", "xor edx, edx", "mov eax, 0x00cd1234", "div ecx" }
    wide_divide_behind_cd00 { "push 0", "xor edx, edx", "mov eax, 0x00cd1234", "idiv qword ptr [rsp]", "pop rax" }
    opcode_behind_cd06 { "mov eax, 0x06cd1234", "ud2" }
    read_behind_cd0e { "xor ecx, ecx", "mov eax, 0x0ecd1234", "mov eax, [rcx]" }
    push_behind_cd0e -> ! { "mov eax, 0x0ecd1234", "2: push rax", "jmp 2b" }
    x87_behind_cd10 {
        "fninit", "push 0", "fldcw [rsp]", "fld1", "fldz", "fdivp", "mov eax, 0x10cd1234", "fwait", "fninit", "pop rax",
    }
    /// Sets a debug register that the module itself triggers.
    meet_debug_register {
        "lea rcx, [rip + 2f]", "mov dr0, rcx", "mov ecx, 0x401", "mov dr7, rcx", "2: nop",
    }
    /// Sets a debug register that the kernel's code triggers: at the context, which lies on the kernel's stack.
    watch_context { "mov dr0, rdi", "mov ecx, 0xf0001", "mov dr7, rcx" }
    /// Sets the debug registers' own guard: the next access to one causes an exception.
    guard_debug_registers { "mov ecx, 0x2400", "mov dr7, rcx" }
}
