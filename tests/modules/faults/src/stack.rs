//! Stacks: used up, left, lost, and with forged return addresses.

use core::arch::asm;
use core::hint::black_box;

use bareflow_abi::Context;

use crate::access::{read_downwards, read_upwards};
use crate::raw::{KERNEL_TEXT, NON_CANONICAL, NULL, data, stack_bottom, text};

classes!(
    recursion,
    huge_frame,
    unprobed_frame,
    push_loop,
    read_below_stack,
    read_above_stack,
    null_stack,
    null_stack_call,
    non_canonical_stack,
    text_stack,
    kernel_stack,
    corrupt_return,
    return_to_null,
    return_to_data,
    return_elsewhere,
    corrupt_list,
);

#[expect(unconditional_recursion, reason = "that is the fault")]
fn recursion(context: &mut Context<'_>) -> i32 {
    let mut frame = black_box([1_u8; 512]);
    black_box(&mut frame)[0] += 1;
    recursion(black_box(context)) + i32::from(black_box(&frame)[0])
}

/// Allocates a frame of 1 MiB, as the compiler does: it touches every page.
#[inline(never)]
fn huge_frame(_: &mut Context<'_>) -> i32 {
    let frame = [black_box(1_u8); 1 << 20];
    i32::from(black_box(&frame)[0]) - 1
}

/// Lowers the stack pointer by 512 KiB at once, beyond the guard page.
fn unprobed_frame(_: &mut Context<'_>) -> i32 {
    // SAFETY: damage is this module's purpose, and whoever loads it contains it.
    unsafe { asm!("sub rsp, 0x80000", "push 0", "add rsp, 0x80008") };
    0
}

fn push_loop(_: &mut Context<'_>) -> i32 {
    // SAFETY: as above.
    unsafe { asm!("2: push rax", "jmp 2b", options(noreturn)) }
}

fn read_below_stack(_: &mut Context<'_>) -> i32 {
    read_downwards(stack_bottom() + 4096)
}

fn read_above_stack(_: &mut Context<'_>) -> i32 {
    read_upwards(stack_bottom() + 4096)
}

/// Loses the stack pointer, and pushes.
fn lose_stack(stack: usize) -> i32 {
    // SAFETY: as above; the push faults, or writes where the class intends.
    unsafe { asm!("mov rcx, rsp", "mov rsp, {0}", "push 0", "mov rsp, rcx", in(reg) stack, out("rcx") _) };
    0
}

fn null_stack(_: &mut Context<'_>) -> i32 {
    lose_stack(NULL)
}

/// Loses the stack pointer, and calls.
fn null_stack_call(_: &mut Context<'_>) -> i32 {
    // SAFETY: as above.
    unsafe { asm!("xor esp, esp", "call 2f", "2: ud2", options(noreturn)) }
}

fn non_canonical_stack(_: &mut Context<'_>) -> i32 {
    lose_stack(NON_CANONICAL)
}

fn text_stack(_: &mut Context<'_>) -> i32 {
    lose_stack((text() + 8) & !7)
}

fn kernel_stack(_: &mut Context<'_>) -> i32 {
    lose_stack(KERNEL_TEXT + 64)
}

/// Overwrites its return address, and returns.
fn return_to(address: usize) -> i32 {
    // SAFETY: as above.
    unsafe { asm!("push {0}", "ret", in(reg) address, options(noreturn)) }
}

/// Overwrites the return address as a buffer overflow with ones would.
fn corrupt_return(_: &mut Context<'_>) -> i32 {
    return_to(usize::MAX)
}

fn return_to_null(_: &mut Context<'_>) -> i32 {
    return_to(NULL)
}

fn return_to_data(_: &mut Context<'_>) -> i32 {
    return_to(data())
}

/// Returns to another place in its own code than the caller, which is not prevented.
fn return_elsewhere(_: &mut Context<'_>) -> i32 {
    // SAFETY: at the second label, the stack is as before.
    unsafe {
        asm!("call 2f", "ud2", "2: lea rax, [rip + 3f]", "mov [rsp], rax", "ret", "ud2", "3:", clobber_abi("sysv64"))
    };
    0
}

/// A list's element: the next one, and the location to which its address is written.
struct Element {
    next: *mut Element,
    place: *mut *mut Element,
}

/// Removes an element from a list whose links were overwritten with an address of the kernel.
fn corrupt_list(_: &mut Context<'_>) -> i32 {
    let kernel = core::ptr::with_exposed_provenance_mut(KERNEL_TEXT);
    let mut last = Element { next: core::ptr::null_mut(), place: core::ptr::null_mut() };
    let element = black_box(Element { next: &raw mut last, place: kernel });
    // SAFETY: this is not safe: the second location is the kernel's.
    unsafe {
        (*element.next).place = element.place;
        element.place.write_volatile(element.next);
    }
    black_box(&last).next.is_null().into()
}
