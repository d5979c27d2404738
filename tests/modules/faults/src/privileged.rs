//! Instructions that ring 0 alone may execute, control registers and ports.
//!
//! Those that are harmless to ring 0 change nothing: they write what is there.

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
    /// Switches paging off.
    clear_cr0 { "xor eax, eax", "mov cr0, rax" }
    /// Puts other page tables in place.
    clear_cr3 { "xor eax, eax", "mov cr3, rax" }
    clear_cr4 { "xor eax, eax", "mov cr4, rax" }
    /// Lets ring 0 execute and access what is ring 3's.
    unset_smep { "mov rax, cr4", "and eax, 0xffcfffff", "mov cr4, rax" }
    /// Switches write protection off for ring 0.
    unset_write_protect { "mov rax, cr0", "and eax, 0xfffeffff", "mov cr0, rax" }
    read_cr8 { "mov rax, cr8" }
    read_dr7 { "mov rax, dr7" }
    /// Writes what is there after a reset.
    write_dr7 { "mov eax, 0x400", "mov dr7, rax" }
    clts { "clts" }
    /// Writes what is there.
    lmsw { "smsw ax", "lmsw ax" }
    /// Says that the vector registers are another task's.
    set_task_switched { "mov rax, cr0", "or eax, 8", "mov cr0, rax" }
    rdmsr_efer { "mov ecx, 0xc0000080", "rdmsr" }
    /// Switches no-execute, system calls and long mode off.
    wrmsr_efer { "mov ecx, 0xc0000080", "xor eax, eax", "xor edx, edx", "wrmsr" }
    /// Puts the entry of system calls at 0.
    wrmsr_lstar { "mov ecx, 0xc0000082", "xor eax, eax", "xor edx, edx", "wrmsr" }
    rdmsr_unknown { "mov ecx, 0xdeadbeef", "rdmsr" }
    rdpmc { "xor ecx, ecx", "rdpmc" }
    /// Switches the x87 unit's state off, which is always on.
    xsetbv { "xor eax, eax", "xor ecx, ecx", "xor edx, edx", "xsetbv" }
    invd { "invd" }
    wbinvd { "wbinvd" }
    invlpg { "invlpg [rsp]" }
    /// Twice, so that all is as it was.
    swapgs { "swapgs", "swapgs" }
    /// Both, so that all is as it was.
    stac_clac { ".byte 0x0f, 0x01, 0xcb", ".byte 0x0f, 0x01, 0xca" }
    monitor { "mov rax, rsp", "xor ecx, ecx", "xor edx, edx", ".byte 0x0f, 0x01, 0xc8" }
    mwait { "xor eax, eax", "xor ecx, ecx", ".byte 0x0f, 0x01, 0xc9" }
    /// Reads the serial line's status.
    in_serial { "mov edx, 0x3fd", "in al, dx" }
    /// Sends a character over the serial line.
    out_serial { "mov edx, 0x3f8", "mov al, 0x21", "out dx, al" }
    /// The port that shows the firmware's progress.
    out_post { "out 0x80, al" }
    /// Has the keyboard's controller reset the machine.
    out_reset { "mov al, 0xfe", "out 0x64, al" }
    /// Ends QEMU.
    out_exit { "mov edx, 0xf4", "xor eax, eax", "out dx, eax" }
    insb { "sub rsp, 16", "mov rdi, rsp", "mov edx, 0x3fd", "insb", "add rsp, 16" }
}
