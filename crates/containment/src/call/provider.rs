//! Calls of the kernel's own providers, of which a panic ends that call alone.
//!
//! The kernel is compiled without unwinding. So a call of a provider saves what a function must preserve, and a panic
//! continues there: nothing between the two runs on.

use core::arch::{asm, global_asm};
use core::mem::ManuallyDrop;
use core::ptr::null_mut;
use core::sync::atomic::Ordering;

use bareflow_abi::interface::Reply;
use bareflow_loader::Name;
use x86_64::registers::control::Cr8;

use super::{Activation, current, this_processor};
use crate::kernel::kernel;

/// A running call of a provider.
pub struct ProviderCall {
    /// The stack pointer, below the registers that were saved and above the return address; 0 before that.
    stack: u64,
    /// The provider's name.
    name: *const Name,
    /// The module's call that it serves.
    caller: Option<&'static Activation>,
    /// The call of a provider that this one is nested in, or null.
    outer: *mut ProviderCall,
}

unsafe extern "C" {
    /// Goes on where a call of a provider would have returned to, with the status `ABANDONED`.
    fn bareflow_abandon_provider(stack: u64) -> !;
}

global_asm!(
    ".global bareflow_abandon_provider",
    "bareflow_abandon_provider:",
    // The provider may have turned interrupts off when it panicked. They are on when a module calls a service.
    "push 0x202",
    "popfq",
    // The return address of `enter` is still where the call pushed it.
    "lea rsp, [rdi - 8]",
    "mov rax, {abandoned}",
    "ret",
    abandoned = const ABANDONED,
);

/// Calls a provider by `call`. Returns `None` if it was abandoned.
#[inline(always)]
pub fn call_provider<F: FnOnce() -> Reply>(name: &Name, call: F) -> Option<Reply> {
    let innermost = &this_processor().provider;
    let outer = innermost.load(Ordering::Relaxed);
    let mut running = ProviderCall { stack: 0, name, caller: current(), outer };
    innermost.store(&raw mut running, Ordering::Relaxed);
    let mut call = ManuallyDrop::new(call);
    let (status, value);
    // SAFETY: `enter` gets the closure that it expects, which is dropped by nothing else. Whether it returns or is
    // abandoned, the stack pointer is as before the call, and all registers that it may have changed are saved or declared
    // clobbered; what an abandoned call leaves is what `abandon_provider` demands.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "mov [rsi], rsp",
            "call {enter}",
            "pop rbp",
            "pop rbx",
            enter = sym enter::<F>,
            in("rdi") &raw mut call,
            in("rsi") &raw mut running.stack,
            lateout("rax") status,
            lateout("rdx") value,
            out("r12") _,
            out("r13") _,
            out("r14") _,
            out("r15") _,
            clobber_abi("C"),
        );
    }
    innermost.store(outer, Ordering::Relaxed);
    (status != ABANDONED).then_some(Reply { status, value })
}

/// The status of an abandoned call, which is none of a reply.
const ABANDONED: u64 = u64::MAX;

/// Makes the call.
unsafe extern "C" fn enter<F: FnOnce() -> Reply>(call: *mut ManuallyDrop<F>) -> Reply {
    // SAFETY: `call_provider` passes the address of a closure that it holds, once.
    unsafe { ManuallyDrop::take(&mut *call)() }
}

/// Does `work` for a provider that is not the provider's own: whatever it wants of a manager. A panic of `work` is the
/// kernel's, since it leaves half done what others rely on.
pub fn outside_provider<T>(work: impl FnOnce() -> T) -> T {
    let innermost = &this_processor().provider;
    let running = innermost.swap(null_mut(), Ordering::Relaxed);
    let done = work();
    innermost.store(running, Ordering::Relaxed);
    done
}

/// Abandons the running call of a provider, if it is the provider's own code that panicked: the module's call of it
/// returns an error, and it is not called again. Otherwise this returns. For the kernel's panic handler, once it has
/// noted what there is to say; `note` gets the provider's name.
///
/// Nothing that the provider has begun is ended: locks that it holds stay taken, its destructors do not run, and memory
/// that it owned is lost.
///
/// # Safety
/// - This is called by the panic handler, on the stack of the code that panicked.
/// - Providers use managers only within [`outside_provider`].
/// - No provider relies on its destructors for the safety of memory. So nothing else has the address of anything on its
///   stack: no list that it has put itself into, no device that writes to a buffer there.
pub unsafe fn abandon_provider(note: impl FnOnce(&Name)) {
    let here = (&raw const note).addr() as u64;
    let processor = this_processor();
    // SAFETY: the record lies in the frame of `call_provider`, which waits.
    let Some(running) = (unsafe { processor.provider.load(Ordering::Relaxed).as_ref() }) else { return };
    // Another module's call that began since then, or work of the kernel's, is not the provider's own code.
    let is_own = match (running.caller, current()) {
        (Some(caller), Some(current)) => core::ptr::eq(caller, current),
        (None, None) => true,
        _ => false,
    };
    // Nor is a trap's handler.
    let is_on_stack = here < running.stack && kernel().stack().contains(&here) && !processor.stacks.contains(here);
    if is_own && is_on_stack {
        // A panic of `note` is one of the kernel.
        processor.provider.store(running.outer, Ordering::Relaxed);
        // SAFETY: the name is borrowed by `call_provider`, which waits.
        note(unsafe { &*running.name });
        // As the services leave it; the provider may have changed it.
        Cr8::write(None);
        // SAFETY: the frame of `call_provider` is there, since the provider has not returned; the caller
        // answers for the frames below.
        unsafe { bareflow_abandon_provider(running.stack) }
    }
}
