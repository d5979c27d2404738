//! Stacks: used up, left, lost, and made of return addresses nobody called from.

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

/// A frame of 1 MiB, as the compiler makes it: it touches every page.
#[inline(never)]
fn huge_frame(_: &mut Context<'_>) -> i32 {
    let frame = [black_box(1_u8); 1 << 20];
    i32::from(black_box(&frame)[0]) - 1
}

/// Lowers the stack pointer by 512 KiB at once, beyond the guard page.
fn unprobed_frame(_: &mut Context<'_>) -> i32 {
    // SAFETY: harm is what this module is for, and who loads it contains it.
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
    // SAFETY: as above; the push faults, or writes where the class wants it.
    unsafe { asm!("mov rcx, rsp", "mov rsp, {0}", "push 0", "mov rsp, rcx", in(reg) stack, out("rcx") _) };
    0
}

fn null_stack(_: &mut Context<'_>) -> i32 {
    lose_stack(NULL)
}

/// Likewise, with a call instead of a push.
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

/// As a buffer would that is filled with ones beyond its end.
fn corrupt_return(_: &mut Context<'_>) -> i32 {
    return_to(usize::MAX)
}

fn return_to_null(_: &mut Context<'_>) -> i32 {
    return_to(NULL)
}

fn return_to_data(_: &mut Context<'_>) -> i32 {
    return_to(data())
}

/// Returns to where it was not called from, but in its own code, which nothing forbids.
fn return_elsewhere(_: &mut Context<'_>) -> i32 {
    // SAFETY: the stack is as it was at the second label.
    unsafe {
        asm!("call 2f", "ud2", "2: lea rax, [rip + 3f]", "mov [rsp], rax", "ret", "ud2", "3:", clobber_abi("sysv64"))
    };
    0
}

/// A list's element: the next one, and where this one's address is written to.
struct Element {
    next: *mut Element,
    place: *mut *mut Element,
}

/// Takes an element out of a list whose links were overwritten with an address of the kernel's.
fn corrupt_list(_: &mut Context<'_>) -> i32 {
    let kernel = core::ptr::with_exposed_provenance_mut(KERNEL_TEXT);
    let mut last = Element { next: core::ptr::null_mut(), place: core::ptr::null_mut() };
    let element = black_box(Element { next: &raw mut last, place: kernel });
    // SAFETY: it isn't safe: the second place is the kernel's.
    unsafe {
        (*element.next).place = element.place;
        element.place.write_volatile(element.next);
    }
    black_box(&last).next.is_null().into()
}
