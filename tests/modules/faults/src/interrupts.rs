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
    int_8 { ".byte 0xcd, 8" }
    int_13 { ".byte 0xcd, 13" }
    int_14 { ".byte 0xcd, 14" }
    int_18 { ".byte 0xcd, 18" }
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
}
