//! Variants of other classes: the same damage by other instructions.

use core::arch::asm;

use bareflow_abi::Context;

classes!(see_selectors);

instructions! { in INSTRUCTIONS:
    /// Copies upwards endlessly.
    copy_up { "mov rsi, rsp", "lea rdi, [rsp + 8]", "mov rcx, -1", "rep movsb" }
    fill_up { "mov rdi, rsp", "mov rcx, -1", "xor eax, eax", "rep stosb" }
    fill_down -> ! { "std", "mov rdi, rsp", "mov rcx, -1", "xor eax, eax", "rep stosb", "ud2" }
    fill_text { "lea rdi, [rip]", "mov ecx, 64", "xor eax, eax", "rep stosb" }
    read_up { "mov rsi, rsp", "mov rcx, -1", "rep lodsb" }
    pop_loop -> ! { "2: pop rax", "jmp 2b" }
    save_units_null { "xor ecx, ecx", "fxsave64 [rcx]" }
    /// Saves the units' state at an odd address.
    save_units_odd { "lea rcx, [rsp - 1023]", "fxsave64 [rcx]" }
    /// Restores a state that consists of ones.
    restore_units_garbage -> ! {
        "sub rsp, 8192", "and rsp, -64", "mov rdi, rsp", "mov ecx, 4096", "mov al, 0xff", "rep stosb",
        "mov eax, -1", "mov edx, -1", "xrstor64 [rsp]", "ud2",
    }
    exchange_16_odd {
        "push rbx", "xor eax, eax", "xor edx, edx", "xor ebx, ebx", "xor ecx, ecx", "lock cmpxchg16b [rsp - 60]", "pop rbx",
    }
    /// Divides 128 bits, with a result of more than 64.
    idiv_overflow_wide { "xor eax, eax", "mov rdx, 0x4000000000000000", "mov ecx, 1", "idiv rcx" }
    call_low { "mov eax, 8", "call rax" }
    jump_by_far_table -> ! { "lea rax, [rip]", "mov rcx, 0x10000000000", "jmp qword ptr [rax + 8 * rcx]" }
    mutual_recursion -> ! { "2: call 3f", "3: call 2b", "ud2" }
    /// Writes beyond the guard page below its stack.
    skip_guard -> ! { "sub rsp, 81920", "mov [rsp], rax", "ud2" }
    leave_bad_frame -> ! { "mov ebp, 16", "leave", "ret" }
    return_loop -> ! { "2: lea rax, [rip + 2b]", "push rax", "ret" }
    hlt_loop -> ! { "2: hlt", "jmp 2b" }
    use_x87 { "fninit", "fld1", "fld1", "faddp", "fstp st(0)" }
    use_units_off { "mov rax, cr0", "or rax, 8", "mov cr0, rax", "addps xmm0, xmm0" }
    store_gs { "xor ecx, ecx", "mov gs:[rcx], rax" }
    write_low { "mov eax, 0x10", "mov [rax], eax" }
    /// Reads where the kernel would map memory if there were more.
    read_beyond_memory { "mov rax, 0xffff901000000000", "mov rax, [rax]" }
    /// Sets flags of 16-bit tasks, and the one that delays debug exceptions.
    odd_flags { "pushfq", "or dword ptr [rsp], 0x1b0000", "popfq" }
    /// Sets all selectors to ring 3's data, which the next class must not see.
    set_selectors { "mov eax, 0x1b", "mov ds, eax", "mov es, eax", "mov fs, eax", "mov gs, eax" }
}

/// Returns the bits of all selectors that a call could leave to the next one.
fn see_selectors(_: &mut Context<'_>) -> i32 {
    let [ds, es, fs, gs]: [u32; 4];
    // SAFETY: any code may read these.
    unsafe {
        asm!("mov {:e}, ds", "mov {:e}, es", "mov {:e}, fs", "mov {:e}, gs",
            out(reg) ds, out(reg) es, out(reg) fs, out(reg) gs, options(nomem, nostack, preserves_flags));
    }
    (ds | es | fs | gs).cast_signed()
}
