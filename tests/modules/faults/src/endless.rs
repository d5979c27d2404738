//! Loops that never end by themselves.

use core::hint::{black_box, spin_loop};
use core::sync::atomic::{AtomicBool, Ordering};

use bareflow_abi::Context;

classes!(spin_on_own_lock, wait_for_event, clock_loop, log_loop);

instructions! { in INSTRUCTIONS:
    loop_forever -> ! { "2: jmp 2b" }
    pause_loop -> ! { "2: pause", "jmp 2b" }
    /// Disables interrupts, as far as it may, and loops.
    cli_loop -> ! { "cli", "2: jmp 2b" }
    cli_hlt -> ! { "cli", "2: hlt", "jmp 2b" }
    /// Does so by the whole flags register, where ring 3 gets no fault for it.
    popf_cli_loop -> ! { "pushfq", "and dword ptr [rsp], 0xfffffdff", "popfq", "2: jmp 2b" }
    /// Blocks the timer by the processor's priority.
    raise_priority_loop -> ! { "mov eax, 15", "mov cr8, rax", "2: jmp 2b" }
}

static LOCK: AtomicBool = AtomicBool::new(false);
static EVENT: AtomicBool = AtomicBool::new(false);

/// Takes a lock that it already holds.
fn spin_on_own_lock(_: &mut Context<'_>) -> i32 {
    for _ in 0..2 {
        while LOCK.swap(true, Ordering::Acquire) {
            spin_loop();
        }
    }
    0
}

/// Waits for an event that never happens.
fn wait_for_event(_: &mut Context<'_>) -> i32 {
    while !black_box(&EVENT).load(Ordering::Acquire) {}
    0
}

/// Reads the clock until it runs backwards.
fn clock_loop(context: &mut Context<'_>) -> i32 {
    let start = context.clock();
    while context.clock() >= start {}
    0
}

/// Logs endlessly.
fn log_loop(context: &mut Context<'_>) -> i32 {
    loop {
        context.log("again");
    }
}
