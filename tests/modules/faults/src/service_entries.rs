//! Services, called with registers, flags and stacks that no compiled module would have.

use core::arch::asm;
use core::hint::black_box;

use bareflow_abi::Context;

use crate::raw::{KERNEL_TEXT, NON_CANONICAL, NULL, rodata, services, stack_bottom};

classes!(
    log_null_context,
    log_wild_context,
    log_at_last_words,
    log_at_guard,
    log_below_guard,
    log_without_stack,
    log_kernel_stack,
    log_with_direction,
    log_with_alignment,
    log_with_trap,
    log_past_first_byte,
    clock_null_context,
);

/// Services do not use the context.
fn log_null_context(context: &mut Context<'_>) -> i32 {
    // SAFETY: none: this is the fault, or what must not be one.
    unsafe { (services(context).log)(core::ptr::null_mut(), rodata_pointer(), 1) };
    0
}

fn log_wild_context(context: &mut Context<'_>) -> i32 {
    // SAFETY: as above.
    unsafe { (services(context).log)(core::ptr::with_exposed_provenance_mut(NON_CANONICAL), rodata_pointer(), 1) };
    0
}

fn clock_null_context(context: &mut Context<'_>) -> i32 {
    // SAFETY: as above.
    black_box(unsafe { (services(context).clock)(core::ptr::null_mut()) });
    0
}

fn rodata_pointer() -> *const u8 {
    core::ptr::with_exposed_provenance(rodata())
}

/// Logs a byte with the stack pointer at `stack`.
fn log_with_stack(context: &mut Context<'_>, stack: usize) -> i32 {
    let log = services(context).log;
    // SAFETY: services preserve what functions must; the stack pointer is kept in such a register.
    unsafe {
        asm!(
            "mov r12, rsp", "mov rsp, {stack}", "call {log}", "mov rsp, r12",
            stack = in(reg) stack, log = in(reg) log, out("r12") _,
            in("rdi") &raw mut *context, in("rsi") rodata(), in("rdx") 1,
            clobber_abi("sysv64"),
        );
    }
    0
}

/// Leaves room for the return address and one more word.
fn log_at_last_words(context: &mut Context<'_>) -> i32 {
    log_with_stack(context, stack_bottom() + 16)
}

/// Leaves room for the return address only.
fn log_at_guard(context: &mut Context<'_>) -> i32 {
    log_with_stack(context, stack_bottom() + 8)
}

/// Leaves no room.
fn log_below_guard(context: &mut Context<'_>) -> i32 {
    log_with_stack(context, stack_bottom())
}

/// Jumps to the service with the stack pointer at `stack`, where there is no return address.
fn enter_log(context: &mut Context<'_>, stack: usize) -> i32 {
    let log = services(context).log;
    // SAFETY: it never returns; whoever loads this module contains it.
    unsafe {
        asm!(
            "mov rsp, {stack}", "jmp {log}", stack = in(reg) stack, log = in(reg) log,
            in("rdi") &raw mut *context, in("rsi") rodata(), in("rdx") 1,
            options(noreturn),
        )
    }
}

fn log_without_stack(context: &mut Context<'_>) -> i32 {
    enter_log(context, NULL)
}

fn log_kernel_stack(context: &mut Context<'_>) -> i32 {
    enter_log(context, KERNEL_TEXT + 64)
}

macro_rules! log_with_flag {
    ($($(#[$doc:meta])* $name:ident = $flag:literal)+) => {$(
        $(#[$doc])*
        fn $name(context: &mut Context<'_>) -> i32 {
            let log = services(context).log;
            // SAFETY: services preserve what functions must; the flags are restored afterwards.
            unsafe {
                asm!(
                    "pushfq", "mov r12, rsp", "and rsp, -16", "pushfq", concat!("or dword ptr [rsp], ", $flag), "popfq",
                    "call {log}", "mov rsp, r12", "popfq",
                    log = in(reg) log, out("r12") _,
                    in("rdi") &raw mut *context, in("rsi") rodata(), in("rdx") 1,
                    clobber_abi("sysv64"),
                );
            }
            0
        }
    )+};
}

log_with_flag! {
    log_with_direction = "0x400"
    log_with_alignment = "0x40000"
    log_with_trap = "0x100"
}

/// Calls the service's second byte. If that returns, it finds 0 on the stack as the return address.
fn log_past_first_byte(context: &mut Context<'_>) -> i32 {
    let log = services(context).log as *const () as usize + 1;
    // SAFETY: the code after the first byte may do anything; whoever loads this module contains it.
    unsafe {
        asm!(
            "push 0", "push 0", "call {0}", "ud2", in(reg) log,
            in("rdi") &raw mut *context, in("rsi") rodata(), in("rdx") 1,
            options(noreturn),
        )
    }
}
