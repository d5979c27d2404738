//! The module's entry, which keeps the machine between calls.

use core::cell::UnsafeCell;

use bareflow_abi::entry::Descriptor;
use bareflow_abi::{Context, Reason};

use crate::attached;
use crate::machine::Machine;
use crate::raise::raise;

/// The machine, once it is made.
struct Kept(UnsafeCell<Option<Machine>>);

// SAFETY: calls of a module that does not say otherwise never overlap, and the engine never says so.
unsafe impl Sync for Kept {}

static MACHINE: Kept = Kept(UnsafeCell::new(None));

/// The result of a call for which nothing is attached.
const NOTHING: i32 = -1;

/// Calls the attached program.
#[unsafe(export_name = "bareflow_entry")]
extern "C" fn entry(context: &mut Context<'_>, reason: u32) -> i32 {
    // Opens the heap. All reasons are the program's.
    let _ = bareflow_abi::__private::prepare(context, Reason::Run as u32);
    // SAFETY: calls do not overlap, so this is the one reference.
    let kept = unsafe { &mut *MACHINE.0.get() };
    let machine = match kept {
        Some(machine) => machine,
        None => match make(kept, context) {
            Some(machine) => machine,
            None => return NOTHING,
        },
    };
    match machine.call(context, reason) {
        Ok(result) => result,
        Err(fault) => raise(&fault, machine.memory_base()),
    }
}

/// Makes the machine at the first call; `None` if nothing is attached.
#[cold]
#[inline(never)]
fn make<'kept>(kept: &'kept mut Option<Machine>, context: &mut Context<'_>) -> Option<&'kept mut Machine> {
    // SAFETY: a machine that is kept is not made again, and what is not attached at one call is not attached at the next.
    let attached = unsafe { attached::take() }?;
    // SAFETY: the engine validated the module that it attached.
    let machine = kept.insert(unsafe { Machine::new(attached) }.unwrap_or_else(|fault| raise(&fault, 0)));
    if let Err(fault) = machine.begin(context) {
        raise(&fault, machine.memory_base());
    }
    Some(machine)
}

/// The engine sets the flags that the program needs.
#[unsafe(link_section = ".bareflow.descriptor")]
#[used]
static DESCRIPTOR: Descriptor = Descriptor::new(0);

#[unsafe(link_section = ".bareflow.layout")]
#[used]
static LAYOUT: [u8; bareflow_abi::__private::LAYOUT_SIZE] = bareflow_abi::__private::LAYOUT;
