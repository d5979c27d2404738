//! Causes the fault whose name is its input, and returns 0 if it turns out to be none. The expected outcomes are in
//! `tests/common/fault_classes.rs`.
//!
//! With the input `good` it does nothing wrong, and with `list` it writes all names.

#![no_std]

#[macro_use]
mod macros;

mod access;
mod arithmetic;
mod buffers;
mod calls;
mod endless;
mod execution;
mod interrupts;
mod memory;
mod opcodes;
mod panics;
mod privileged;
mod raw;
mod registers;
mod segments;
mod service_entries;
mod services;
mod stack;
mod system;
#[cfg(test)]
mod tests;
mod variants;

use core::arch::naked_asm;

use bareflow_abi::Context;
use bareflow_abi::entry::Descriptor;

/// The name of a class, and the function that causes the fault.
type Class = (&'static str, fn(&mut Context<'_>) -> i32);

/// All classes.
static GROUPS: [&[Class]; 19] = [
    arithmetic::CLASSES,
    opcodes::CLASSES,
    interrupts::CLASSES,
    endless::CLASSES,
    endless::INSTRUCTIONS,
    panics::CLASSES,
    memory::CLASSES,
    execution::CLASSES,
    stack::CLASSES,
    registers::CLASSES,
    privileged::CLASSES,
    system::CLASSES,
    segments::CLASSES,
    buffers::CLASSES,
    services::CLASSES,
    service_entries::CLASSES,
    calls::CLASSES,
    variants::INSTRUCTIONS,
    variants::CLASSES,
];

/// The result for the input `good`.
const GOOD: i32 = 6765;

/// The result for a name that no class has.
const UNKNOWN: i32 = -2;

/// The stack pointer below the registers that the entry saved.
static mut FRAME: usize = 0;

/// The module's entry.
///
/// It isn't `module!`'s, since some classes end the call themselves, with changes to registers that every compiled
/// function restores: see `registers`.
#[cfg_attr(bareflow_module, unsafe(export_name = "bareflow_entry"))]
#[unsafe(naked)]
pub extern "C" fn entry(context: &mut Context<'_>, reason: u32) -> i32 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "mov [rip + {frame}], rsp",
        "sub rsp, 8",
        "call {run}",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
        frame = sym FRAME,
        run = sym run,
    )
}

#[cfg_attr(bareflow_module, unsafe(link_section = ".bareflow.descriptor"), used)]
#[allow(dead_code, reason = "only the packer reads it")]
static DESCRIPTOR: Descriptor = Descriptor::new(0);

extern "C" fn run(context: &mut Context<'_>) -> i32 {
    match context.input() {
        b"good" => GOOD,
        b"list" => list(context),
        name => match classes().find(|class| class.0.as_bytes() == name) {
            Some((_, commit)) => commit(context),
            None => UNKNOWN,
        },
    }
}

/// Writes all names, one per line, and returns their number.
fn list(context: &mut Context<'_>) -> i32 {
    classes().fold(0, |count, (name, _)| {
        context.write(name.as_bytes());
        context.write(b"\n");
        count + 1
    })
}

fn classes() -> impl Iterator<Item = &'static Class> {
    GROUPS.iter().copied().flatten()
}
