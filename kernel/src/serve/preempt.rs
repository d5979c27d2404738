//! Clients are heard while a module runs: the tick that interrupts it has the
//! kernel look at the port, on its own stack, before the module goes on.
//!
//! Only a module's own code is interrupted so, never the kernel's: nothing of the
//! kernel is half done then. What clients ask for in that moment may load, replace
//! and list modules; calls wait until the one under way has ended.

use core::arch::global_asm;
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use super::{KernelServer, port};
use crate::gate::{self, Record};
use crate::traps::{KERNEL_CODE, TrapFrame, timer};

/// The server that clients are heard by.
static SERVER: AtomicPtr<KernelServer> = AtomicPtr::new(core::ptr::null_mut());

/// Whether a client is being heard already.
static HEARING: AtomicBool = AtomicBool::new(false);

/// Milliseconds after which the server looks at the clock, though no client said anything.
const LOOK_EACH: u64 = 64;

/// What code that is interrupted may find below its stack pointer.
const RED_ZONE: u64 = 128;

/// Bits of the flags that are set where the kernel's own code begins.
const CLEAR_FLAGS: u64 = 0x202;

/// Has clients heard while modules run, from now on.
pub fn install(server: &'static KernelServer) {
    SERVER.store(core::ptr::from_ref(server).cast_mut(), Ordering::Relaxed);
}

/// At a tick that interrupted a module: has the kernel hear a client first, if there is one to be heard.
pub fn on_tick(frame: &mut TrapFrame, record: Option<&Record>) {
    let Some(record) = record else { return };
    let due = port::has_bytes() || timer::milliseconds().is_multiple_of(LOOK_EACH);
    if !due || SERVER.load(Ordering::Relaxed).is_null() || HEARING.swap(true, Ordering::Relaxed) {
        return;
    }
    // Below what the gate saved on the kernel's stack, as services do.
    let size = size_of::<TrapFrame>() as u64;
    let place = (record.kernel_stack() - RED_ZONE - size) & !15;
    // SAFETY: the kernel's stack is mapped, and a module runs: below what the gate saved, nobody uses it.
    unsafe { (place as *mut TrapFrame).write(frame.clone()) };
    (frame.rip, frame.cs) = (bareflow_hear as *const () as u64, KERNEL_CODE);
    (frame.rsp, frame.ss, frame.rflags) = (place, 0, CLEAR_FLAGS);
}

unsafe extern "C" {
    safe fn bareflow_hear();
}

// The interrupted module's frame lies on top of the stack. Its vector registers and its page
// tables are put away, since code of another module may run before it goes on.
global_asm!(
    "bareflow_hear:",
    "cmp byte ptr [rip + bareflow_has_xsave], 0",
    "je 2f",
    "mov eax, -1",
    "mov edx, -1",
    "xsave64 [rip + bareflow_heard_state]",
    "jmp 3f",
    "2: fxsave64 [rip + bareflow_heard_state]",
    "3: mov r12, cr3",
    "mov rax, [rip + bareflow_kernel_root]",
    "mov cr3, rax",
    "call {hear}",
    "mov cr3, r12",
    "cmp byte ptr [rip + bareflow_has_xsave], 0",
    "je 2f",
    "mov eax, -1",
    "mov edx, -1",
    "xrstor64 [rip + bareflow_heard_state]",
    "jmp 3f",
    "2: fxrstor64 [rip + bareflow_heard_state]",
    "3: jmp bareflow_trap_return",
    // The largest state there is with AVX-512 takes 2,696 bytes (Intel SDM volume 1, 13.4 and 13.5).
    ".section .bss.heard, \"aw\", @nobits",
    ".balign 64",
    "bareflow_heard_state: .skip 4096",
    ".text",
    hear = sym hear,
);

/// Hears what clients say.
extern "C" fn hear() {
    // SAFETY: `install` was given a reference for ever.
    if let Some(server) = unsafe { SERVER.load(Ordering::Relaxed).as_ref() } {
        gate::interlude(|| {
            port::take(|bytes| server.receive(bytes));
            server.look_at_clock();
        });
    }
    HEARING.store(false, Ordering::Relaxed);
}
