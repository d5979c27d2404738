//! Instructions that only ring 0 may execute, control registers and ports.
//!
//! Those that do no damage in ring 0 change nothing: they write the present value.

instructions! { in CLASSES:
    cli { "cli" }
    sti { "sti" }
    hlt { "hlt" }
    read_cr0 { "mov rax, cr0" }
    read_cr3 { "mov rax, cr3" }
    read_cr4 { "mov rax, cr4" }
    rewrite_cr0 { "mov rax, cr0", "mov cr0, rax" }
    rewrite_cr3 { "mov rax, cr3", "mov cr3, rax" }
    rewrite_cr4 { "mov rax, cr4", "mov cr4, rax" }
    /// Disables paging.
    clear_cr0 { "xor eax, eax", "mov cr0, rax" }
    /// Switches to other page tables.
    clear_cr3 { "xor eax, eax", "mov cr3, rax" }
    clear_cr4 { "xor eax, eax", "mov cr4, rax" }
    /// Lets ring 0 execute and access user pages.
    unset_smep { "mov rax, cr4", "and eax, 0xffcfffff", "mov cr4, rax" }
    /// Disables write protection for ring 0.
    unset_write_protect { "mov rax, cr0", "and eax, 0xfffeffff", "mov cr0, rax" }
    read_cr8 { "mov rax, cr8" }
    read_dr7 { "mov rax, dr7" }
    /// Writes the value after a reset.
    write_dr7 { "mov eax, 0x400", "mov dr7, rax" }
    clts { "clts" }
    /// Writes back the present value.
    lmsw { "smsw ax", "lmsw ax" }
    /// Marks the vector registers as another task's.
    set_task_switched { "mov rax, cr0", "or eax, 8", "mov cr0, rax" }
    rdmsr_efer { "mov ecx, 0xc0000080", "rdmsr" }
    /// Disables no-execute, system calls and long mode.
    wrmsr_efer { "mov ecx, 0xc0000080", "xor eax, eax", "xor edx, edx", "wrmsr" }
    /// Sets the entry of system calls to 0.
    wrmsr_lstar { "mov ecx, 0xc0000082", "xor eax, eax", "xor edx, edx", "wrmsr" }
    rdmsr_unknown { "mov ecx, 0xdeadbeef", "rdmsr" }
    rdpmc { "xor ecx, ecx", "rdpmc" }
    /// Disables the x87 unit's state, which must always be enabled.
    xsetbv { "xor eax, eax", "xor ecx, ecx", "xor edx, edx", "xsetbv" }
    invd { "invd" }
    wbinvd { "wbinvd" }
    invlpg { "invlpg [rsp]" }
    /// Executes it twice, which restores the original state.
    swapgs { "swapgs", "swapgs" }
    /// Executes both, which restores the original state.
    stac_clac { ".byte 0x0f, 0x01, 0xcb", ".byte 0x0f, 0x01, 0xca" }
    monitor { "mov rax, rsp", "xor ecx, ecx", "xor edx, edx", ".byte 0x0f, 0x01, 0xc8" }
    mwait { "xor eax, eax", "xor ecx, ecx", ".byte 0x0f, 0x01, 0xc9" }
    /// Reads the serial line's status.
    in_serial { "mov edx, 0x3fd", "in al, dx" }
    /// Sends a character over the serial line.
    out_serial { "mov edx, 0x3f8", "mov al, 0x21", "out dx, al" }
    /// Writes to the port that shows the firmware's progress.
    out_post { "out 0x80, al" }
    /// Makes the keyboard controller reset the machine.
    out_reset { "mov al, 0xfe", "out 0x64, al" }
    /// Ends QEMU.
    out_exit { "mov edx, 0xf4", "xor eax, eax", "out dx, eax" }
    insb { "sub rsp, 16", "mov rdi, rsp", "mov edx, 0x3fd", "insb", "add rsp, 16" }
}
