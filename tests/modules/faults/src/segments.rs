//! Selectors: invalid ones, and the kernel's.
//!
//! 0x08 and 0x10 are the kernel's code and data, 0x28 its task; 0x1233 is beyond the table's end.

instructions! { in CLASSES:
    mov_ss_bad { "mov eax, 0x1233", "mov ss, eax" }
    /// Ring 0 may do this in 64-bit mode.
    mov_ss_null { "xor eax, eax", "mov ss, eax" }
    mov_ds_bad { "mov eax, 0x1233", "mov ds, eax" }
    mov_gs_bad { "mov eax, 0x1233", "mov gs, eax" }
    /// A selector of the local table, which does not exist.
    mov_es_local { "mov eax, 0x0007", "mov es, eax" }
    mov_ds_kernel { "mov eax, 0x10", "mov ds, eax", "xor eax, eax", "mov ds, eax" }
    pop_fs_bad { "push 0x1233", ".byte 0x0f, 0xa1" }
    /// `jmp 0x1233:0`, through memory.
    far_jump_bad { "mov rax, 0x123300000000", "push rax", ".byte 0xff, 0x2c, 0x24", "pop rax" }
    far_call_bad { "mov rax, 0x123300000000", "push rax", ".byte 0xff, 0x1c, 0x24", "pop rax" }
    far_jump_task { "mov rax, 0x2800000000", "push rax", ".byte 0xff, 0x2c, 0x24", "pop rax" }
    /// `retf` to ring 0, to the next instruction.
    far_return_to_ring_0 { "push 8", "lea rax, [rip + 2f]", "push rax", ".byte 0x48, 0xcb", "2:" }
    iretq_garbage { "push -1", "push -1", "push -1", "push -1", "push -1", "iretq" }
    /// Continues at the next instruction, likewise.
    iretq_to_ring_0 {
        "mov rcx, rsp", "push 0", "push rcx", "pushfq", "push 8", "lea rax, [rip + 2f]", "push rax", "iretq", "2:",
    }
    /// Does so with the flag set that claims that the machine is inside a nested task.
    iretq_nested {
        "mov rcx, rsp", "mov eax, ss", "push rax", "push rcx", "pushfq", "mov eax, cs", "push rax",
        "lea rax, [rip + 2f]", "push rax", "pushfq", "or dword ptr [rsp], 0x4000", "popfq", "iretq", "2:",
    }
}
