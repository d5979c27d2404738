//! Returns with changes to state that a function must preserve (System V ABI 3.2.1).
//!
//! Compiled functions restore registers before they return, so these end the call themselves: they restore what the
//! entry saved, change one thing, and return.

use core::arch::asm;

use bareflow_abi::Context;

macro_rules! returns {
    ($($(#[$doc:meta])* $name:ident { $($line:literal),+ $(,)? })+) => {
        classes!($($name),+);
        $(
            $(#[$doc])*
            fn $name(_: &mut Context<'_>) -> i32 {
                // SAFETY: the entry recorded where it saved the registers, and its frame still exists; the effect on
                // the caller is what the class tests, and whoever loads this module contains it.
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
    /// The trap occurs after the module has returned.
    trap_flag_on_return { "pushfq", "or dword ptr [rsp], 0x100", "popfq" }
    /// Returns with all exceptions of the vector unit unmasked.
    clobber_mxcsr { "push 0", "ldmxcsr [rsp]", "pop rcx" }
    /// Returns with rounding towards zero.
    clobber_rounding { "push 0x7f80", "ldmxcsr [rsp]", "pop rcx" }
    /// Returns with all exceptions of the x87 unit unmasked.
    clobber_x87 { "push 0x340", "fldcw [rsp]", "pop rcx" }
    /// Returns with the x87 unit's stack full, as after use of MMX.
    full_x87 { "fld1", "fld1", "fld1", "fld1", "fld1", "fld1", "fld1", "fld1" }
    /// Returns with an x87 exception unmasked and pending: the unit's next instruction raises it.
    pending_x87 { "fninit", "push 0x340", "fldcw [rsp]", "pop rcx", "fld1", "fldz", "fdivp" }
    /// Returns more than 32 bits, of which the upper ones are meaningless.
    wide_result { "mov rax, 0x7fffffff00000000" }
    /// Returns with interrupts disabled, as far as it may disable them.
    cli_on_return { "cli" }
    /// Returns with the kernel's access to user pages allowed, where this can be switched.
    stac_on_return { ".byte 0x0f, 0x01, 0xcb" }
    /// Returns with access to ports.
    iopl_on_return { "pushfq", "or dword ptr [rsp], 0x3000", "popfq" }
    /// Returns with interrupts blocked by the processor's priority.
    raise_priority_on_return { "mov ecx, 15", "mov cr8, rcx" }
    /// Returns with a breakpoint at an address of its own.
    arm_debug_register { "lea rcx, [rip]", "mov dr0, rcx", "mov ecx, 0x401", "mov dr7, rcx" }
    /// Returns with the kernel's vector units disabled.
    units_off_on_return { "mov rcx, cr0", "or rcx, 8", "mov cr0, rcx" }
    /// Returns with all flags set that may be.
    all_flags_on_return { "push -1", "popfq" }
    /// Returns with denormals treated as zero.
    clobber_denormals { "push 0x1fc0", "ldmxcsr [rsp]", "pop rcx" }
    /// Returns with the x87 unit's stack rotated.
    turn_x87 { "fincstp", "fincstp", "fld1" }
    /// Returns by an instruction that removes 16 more bytes from the stack.
    return_16 { "ret 16" }
    /// Returns from a stack of its own.
    return_from_data { "pop rcx", "lea rsp, [rip + {frame}]", "push rcx" }
}
