//! Exceptions caused by arithmetic.

instructions! { in CLASSES:
    divide_by_zero { "xor eax, eax", "xor edx, edx", "xor ecx, ecx", "div ecx" }
    divide_overflow { "xor eax, eax", "mov edx, 2", "mov ecx, 1", "div ecx" }
    idiv_overflow { "mov eax, 0x80000000", "cdq", "mov ecx, -1", "idiv ecx" }
    /// Divides with the x87 unit when its exceptions are unmasked.
    x87_exception {
        "fninit", "push 0", "fldcw [rsp]", "fld1", "fldz", "fdivp", "fwait", "fninit", "pop rax",
    }
    /// Divides 1 by 0 with the vector unit, likewise.
    sse_exception {
        "push 0x1d80", "ldmxcsr [rsp]",
        "mov eax, 0x3f800000", "movd xmm0, eax", "xorps xmm1, xmm1", "divss xmm0, xmm1",
        "mov dword ptr [rsp], 0x1f80", "ldmxcsr [rsp]", "pop rax",
    }
    /// Reads a misaligned word with alignment checks enabled, which ring 3 can do.
    alignment_check {
        "pushfq", "or dword ptr [rsp], 0x40000", "popfq",
        "mov eax, [rsp - 7]",
        "pushfq", "and dword ptr [rsp], 0xfffbffff", "popfq",
    }
    /// Reads a misaligned vector by an instruction that requires alignment.
    misaligned_vector { "movaps xmm0, [rsp - 31]", "movaps xmm0, [rsp - 30]" }
    /// Reads and writes a misaligned word, which is legal.
    unaligned_access { "sub rsp, 16", "mov eax, [rsp + 1]", "mov [rsp + 1], eax", "add rsp, 16" }
    /// Faults with all vector registers in use.
    vectors_then_ud2 {
        "mov rax, -1", "movq xmm0, rax", "movaps xmm1, xmm0", "movaps xmm7, xmm0", "movaps xmm8, xmm0",
        "movaps xmm15, xmm0", "fld1", "ud2",
    }
}
