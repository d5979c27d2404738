//! Returns with something changed that a function must preserve (System V ABI 3.2.1).
//!
//! Compiled functions restore registers on their way, so these end the call by
//! themselves: they go back to what the entry saved, restore it, change one thing, and return.

use core::arch::asm;

use bareflow_abi::Context;

macro_rules! returns {
    ($($(#[$doc:meta])* $name:ident { $($line:literal),+ $(,)? })+) => {
        classes!($($name),+);
        $(
            $(#[$doc])*
            fn $name(_: &mut Context<'_>) -> i32 {
                // SAFETY: the entry wrote where it saved the registers, and its frame is still there; what
                // becomes of the caller is what the class is about, and who loads this module contains it.
                unsafe {
                    asm!(
                        "mov rsp, [rip + {frame}]",
                        "pop r15",
                        "pop r14",
                        "pop r13",
                        "pop r12",
                        "pop rbp",
                        "pop rbx",
                        "xor eax, eax",
                        $($line,)+
                        "ret",
                        frame = sym crate::FRAME,
                        options(noreturn),
                    )
                }
            }
        )+
    };
}

returns! {
    clobber_rbx { "not rbx" }
    clobber_rbp { "not rbp" }
    clobber_r12 { "not r12" }
    clobber_r13 { "not r13" }
    clobber_r14 { "not r14" }
    clobber_r15 { "not r15" }
    /// Returns with another stack pointer.
    shift_stack { "pop rcx", "sub rsp, 16", "jmp rcx" }
    return_without_stack { "pop rcx", "xor esp, esp", "jmp rcx" }
    direction_flag { "std" }
    alignment_flag { "pushfq", "or dword ptr [rsp], 0x40000", "popfq" }
    nested_task_flag { "pushfq", "or dword ptr [rsp], 0x4000", "popfq" }
    /// The trap comes when the module has returned.
    trap_flag_on_return { "pushfq", "or dword ptr [rsp], 0x100", "popfq" }
    /// All exceptions of the vector unit unmasked.
    clobber_mxcsr { "push 0", "ldmxcsr [rsp]", "pop rcx" }
    /// Numbers rounded towards zero.
    clobber_rounding { "push 0x7f80", "ldmxcsr [rsp]", "pop rcx" }
    /// All exceptions of the x87 unit unmasked.
    clobber_x87 { "push 0x340", "fldcw [rsp]", "pop rcx" }
    /// Returns with the x87 unit's stack full, as after use of MMX.
    full_x87 { "fld1", "fld1", "fld1", "fld1", "fld1", "fld1", "fld1", "fld1" }
    /// One of its exceptions unmasked and pending: the next instruction of that unit gets it.
    pending_x87 { "fninit", "push 0x340", "fldcw [rsp]", "pop rcx", "fld1", "fldz", "fdivp" }
    /// Returns more than 32 bits, of which the upper ones mean nothing.
    wide_result { "mov rax, 0x7fffffff00000000" }
    /// Returns with interrupts off, as far as it may switch them off.
    cli_on_return { "cli" }
    /// Returns with access to user pages allowed to the kernel, where there is such a switch.
    stac_on_return { ".byte 0x0f, 0x01, 0xcb" }
    /// Returns with a right to use ports.
    iopl_on_return { "pushfq", "or dword ptr [rsp], 0x3000", "popfq" }
    /// Returns with interrupts kept away by the processor's priority.
    raise_priority_on_return { "mov ecx, 15", "mov cr8, rcx" }
    /// Returns with a breakpoint at an address of its own.
    arm_debug_register { "lea rcx, [rip]", "mov dr0, rcx", "mov ecx, 0x401", "mov dr7, rcx" }
    /// Returns with the kernel's vector units switched off.
    units_off_on_return { "mov rcx, cr0", "or rcx, 8", "mov cr0, rcx" }
    /// Returns with all flags set that may be.
    all_flags_on_return { "push -1", "popfq" }
    /// Returns with tiny numbers taken for zero.
    clobber_denormals { "push 0x1fc0", "ldmxcsr [rsp]", "pop rcx" }
    /// Returns with the x87 unit's stack turned.
    turn_x87 { "fincstp", "fincstp", "fld1" }
    /// Returns by an instruction that takes 16 bytes more off the stack.
    return_16 { "ret 16" }
    /// Returns from a stack of its own.
    return_from_data { "pop rcx", "lea rsp, [rip + {frame}]", "push rcx" }
}
