//! The switch from a trap's stack to the kernel's, for work during which other modules may run and trap.
//!
//! While a module runs, the kernel's stack is free below the registers that the trampoline saved there.

use core::arch::global_asm;

use super::Activation;
use crate::frame::{CLEAR_FLAGS, TrapFrame};
use crate::selectors::KERNEL_CODE;

/// A function that runs on behalf of an interrupted module; it may change the frame.
pub type DeferredWork = extern "C" fn(&mut TrapFrame);

/// The bytes below its stack pointer that interrupted code may use.
const RED_ZONE: u64 = 128;

/// Runs `work` on the kernel's stack before the interrupted module goes on. `frame` is the interrupted module's, and
/// `activation` its call.
pub fn defer_to_kernel_stack(frame: &mut TrapFrame, activation: &Activation, work: DeferredWork) {
    let size = size_of::<TrapFrame>() as u64;
    let frame_address = (activation.kernel_stack() - RED_ZONE - size) & !15;
    // SAFETY: the kernel's stack is mapped, and while a module runs nothing uses it below what the trampoline saved.
    unsafe { (frame_address as *mut TrapFrame).write(frame.clone()) };
    (frame.rip, frame.cs) = (bareflow_deferred as *const () as u64, KERNEL_CODE);
    (frame.rsp, frame.ss, frame.rflags) = (frame_address, 0, CLEAR_FLAGS);
    frame.rbx = work as *const () as u64;
}

unsafe extern "C" {
    safe fn bareflow_deferred();
}

// The interrupted module's frame is on top of the stack, the address of the work in rbx. The module's vector
// registers, selectors and page tables are saved, since another module's code may run before it goes on.
global_asm!(
    ".global bareflow_deferred",
    "bareflow_deferred:",
    "mov rbp, rsp",
    // Ring 0 may have disabled the vector units.
    "clts",
    "mov r12, cr3",
    "mov rax, [rip + bareflow_kernel_root]",
    "mov cr3, rax",
    "mov r13d, ds",
    "mov r14d, es",
    "mov eax, fs",
    "push rax",
    "mov eax, gs",
    "push rax",
    // The largest state, with AVX-512, takes 2,696 bytes (Intel SDM volume 1, 13.4 and 13.5). `xsave` writes only the
    // first word of its header, and `xrstor` requires the others to be zero.
    "sub rsp, 2752",
    "and rsp, -64",
    "lea rdi, [rsp + 512]",
    "xor eax, eax",
    "mov ecx, 8",
    "rep stosq",
    "cmp byte ptr [rip + bareflow_has_xsave], 0",
    "je 2f",
    "mov eax, -1",
    "mov edx, -1",
    "xsave64 [rsp]",
    "jmp 3f",
    "2: fxsave64 [rsp]",
    "3: call bareflow_clear_vectors",
    "mov rdi, rbp",
    "call rbx",
    "cmp byte ptr [rip + bareflow_has_xsave], 0",
    "je 2f",
    "mov eax, -1",
    "mov edx, -1",
    "xrstor64 [rsp]",
    "jmp 3f",
    "2: fxrstor64 [rsp]",
    "3: mov cr3, r12",
    "mov ds, r13d",
    "mov es, r14d",
    "mov eax, [rbp - 8]",
    "mov fs, eax",
    "mov eax, [rbp - 16]",
    "mov gs, eax",
    "mov rsp, rbp",
    "jmp bareflow_trap_return",
);
