//! The instructions in which a call of a program ends, so that the loader names the fault as in compiled code.

use core::arch::asm;

use bareflow_abi::traps::TrapKind;

use crate::fault::{Fault, Panic};

/// Ends the call. `memory` is the address of the linear memory.
#[cold]
pub fn raise(fault: &Fault, memory: u64) -> ! {
    match fault {
        Fault::Trap(kind) => trap(*kind),
        Fault::StackOverflow => overflow(),
        Fault::OutOfHeap => out_of_heap(),
        Fault::Panic(text) => panic(text, memory),
        Fault::Interpreter(reason) => core::panic!("{reason}"),
    }
}

/// Ends at the site of a trap. The engine finds the sites by the texts behind them.
#[inline(never)]
fn trap(kind: TrapKind) -> ! {
    macro_rules! site {
        ($number:literal) => {
            // SAFETY: the instruction never completes.
            unsafe {
                asm!("ud2", concat!(".ascii \"BareFlow's trap ", $number, "\""), options(noreturn, nomem, nostack))
            }
        };
    }
    match kind {
        TrapKind::Unreachable => site!("0"),
        TrapKind::OutOfBoundsMemoryAccess => site!("1"),
        TrapKind::OutOfBoundsTableAccess => site!("2"),
        TrapKind::UninitializedElement => site!("3"),
        TrapKind::IndirectCallTypeMismatch => site!("4"),
        TrapKind::IntegerDivideByZero => site!("5"),
        TrapKind::IntegerOverflow => site!("6"),
        TrapKind::InvalidConversionToInteger => site!("7"),
    }
}

/// Ends in the guard page of the module's own stack, since the program has used up its stack.
fn overflow() -> ! {
    // SAFETY: it writes only to the unused part of the module's stack, and never gets further than to its guard page.
    unsafe { asm!("2:", "push 0", "jmp 2b", options(noreturn)) }
}

/// Ends as `bareflow_abi` does when an allocation fails: `ud1 eax, [rax + 0x68]`. The size is not known: `rdi` and `rsi` are
/// not each other's complement.
fn out_of_heap() -> ! {
    // SAFETY: the instruction never completes; it only reads registers.
    unsafe {
        asm!(
            "mov r9, rsp",
            "ud1 eax, dword ptr [rax + 0x68]",
            in("rdi") 0_u64,
            in("rsi") 0_u64,
            options(noreturn, nostack, readonly),
        )
    }
}

/// Ends as a panic of `bareflow_abi` does: `ud1 eax, [rax + 0x62]`, with texts and line in registers.
fn panic(text: &Panic, memory: u64) -> ! {
    let address = |text: (u32, u32)| memory + u64::from(text.0);
    // SAFETY: the instruction never completes; it only reads registers.
    unsafe {
        asm!(
            "mov r9, rsp",
            "ud1 eax, dword ptr [rax + 0x62]",
            in("rdi") address(text.message),
            in("rsi") u64::from(text.message.1),
            in("rdx") address(text.file),
            in("rcx") u64::from(text.file.1),
            in("r8") u64::from(text.line),
            options(noreturn, nostack, readonly),
        )
    }
}
