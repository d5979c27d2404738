//! Instructions that do not exist, or not here.

instructions! { in CLASSES:
    ud0 { ".byte 0x0f, 0xff, 0xc0" }
    /// The instruction of a panic, with another operand.
    ud1 { ".byte 0x0f, 0xb9, 0x40, 0x63" }
    ud2 { "ud2" }
    /// An unused opcode.
    undefined_opcode { ".byte 0x0f, 0x04" }
    // Instructions that 64-bit mode removed.
    into { ".byte 0xce" }
    /// `bound eax, [rax]`; an EVEX prefix now, with a bit clear that must be set.
    bound { ".byte 0x62, 0x00, 0x00, 0x00, 0x00, 0x00" }
    daa { ".byte 0x27" }
    pusha { ".byte 0x60" }
    push_es { ".byte 0x06" }
    /// `jmp 0x1233:0`
    far_jump_direct { ".byte 0xea, 0, 0, 0, 0, 0x33, 0x12" }
    mov_cs { "xor eax, eax", ".byte 0x8e, 0xc8" }
    mov_cr1 { ".byte 0x0f, 0x20, 0xc8" }
    /// A VEX prefix with an opcode map that does not exist.
    bad_vex { ".byte 0xc4, 0xe0, 0x78, 0x10, 0xc0" }
    lock_nop { ".byte 0xf0, 0x90" }
    /// `lock add eax, eax`
    lock_register { ".byte 0xf0, 0x01, 0xc0" }
    /// `lock cmpxchg8b eax`, which stopped the first Pentiums.
    f00f { ".byte 0xf0, 0x0f, 0xc7, 0xc8" }
    /// `nop` with 15 prefixes: 16 bytes, one too many.
    too_long {
        ".byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90",
    }
    /// Jumps into the middle of an instruction, which is `ud2` from there.
    hidden_ud2 { "jmp 2f + 1", "2: mov eax, 0x0b0f" }
    // Instructions of processor features that are disabled.
    vmcall { "mov eax, -1", ".byte 0x0f, 0x01, 0xc1" }
    vmmcall { "mov eax, -1", ".byte 0x0f, 0x01, 0xd9" }
    clgi { ".byte 0x0f, 0x01, 0xdd" }
    getsec { "xor eax, eax", ".byte 0x0f, 0x37" }
    rsm { ".byte 0x0f, 0xaa" }
    rdfsbase { ".byte 0xf3, 0x48, 0x0f, 0xae, 0xc0" }
    wrpkru { "xor eax, eax", "xor ecx, ecx", "xor edx, edx", ".byte 0x0f, 0x01, 0xef" }
}
