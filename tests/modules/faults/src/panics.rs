//! Panics, real and forged, and cases that might be expected to panic.

use core::arch::asm;
use core::cell::RefCell;
use core::hint::black_box;

use bareflow_abi::Context;

use crate::raw::KERNEL_TEXT;

classes!(
    panic_words,
    panic_formatted,
    array_bounds,
    slice_range,
    copy_length,
    char_boundary,
    unwrap_none,
    borrow_twice,
    divide_checked,
    overflow_checked,
    overflow_wraps,
    warning,
    cli_panic,
    forged_panic,
    forged_heap_end,
);

fn panic_words(_: &mut Context<'_>) -> i32 {
    panic!("a module's own words")
}

fn panic_formatted(_: &mut Context<'_>) -> i32 {
    panic!("{} and {:?}", black_box(1), black_box("two"))
}

fn array_bounds(_: &mut Context<'_>) -> i32 {
    black_box([1, 2, 3])[black_box(3)]
}

fn slice_range(_: &mut Context<'_>) -> i32 {
    i32::from(black_box([1_u8, 2, 3])[black_box(2)..black_box(1)].is_empty())
}

fn copy_length(_: &mut Context<'_>) -> i32 {
    let mut target = black_box([0_u8; 10]);
    target[..black_box(10)].copy_from_slice(&black_box([1; 20])[..black_box(20)]);
    i32::from(target[0])
}

fn char_boundary(_: &mut Context<'_>) -> i32 {
    black_box(&black_box("ü")[..1]).len() as i32
}

fn unwrap_none(_: &mut Context<'_>) -> i32 {
    black_box(None::<i32>).unwrap()
}

fn borrow_twice(_: &mut Context<'_>) -> i32 {
    let cell = black_box(RefCell::new(0));
    let _first = cell.borrow_mut();
    *cell.borrow_mut()
}

fn divide_checked(_: &mut Context<'_>) -> i32 {
    black_box(1) / black_box(0)
}

fn overflow_checked(_: &mut Context<'_>) -> i32 {
    black_box(i32::MAX).checked_add(black_box(1)).expect("a sum that fits")
}

/// Overflows an addition, which wraps in module builds.
fn overflow_wraps(_: &mut Context<'_>) -> i32 {
    black_box(black_box(i32::MAX) + black_box(1));
    0
}

/// Logs a warning, and continues.
fn warning(context: &mut Context<'_>) -> i32 {
    context.log("WARNING: nothing is wrong");
    0
}

/// Panics with interrupts disabled, as far as it may disable them.
fn cli_panic(_: &mut Context<'_>) -> i32 {
    // SAFETY: whoever loads this module contains it.
    unsafe { asm!("cli", options(nomem, nostack)) };
    panic!("with interrupts off")
}

/// Executes a panic's instruction, with a message in the kernel, and a file name that is longer than all memory.
fn forged_panic(_: &mut Context<'_>) -> i32 {
    // SAFETY: the instruction never completes.
    unsafe {
        asm!(
            "ud1 eax, dword ptr [rax + 0x62]",
            in("rdi") KERNEL_TEXT,
            in("rsi") 64,
            in("rdx") KERNEL_TEXT,
            in("rcx") usize::MAX,
            in("r8") u64::MAX,
            options(noreturn),
        )
    }
}

/// Executes the instruction that reports a used-up heap, although no heap is used.
fn forged_heap_end(_: &mut Context<'_>) -> i32 {
    // SAFETY: as above.
    unsafe { asm!("ud1 eax, dword ptr [rax + 0x68]", options(noreturn)) }
}
