//! The trampoline into the user domain: into ring 3 by `sysretq`, back by the
//! `syscall` of a stub that the module returns to.
//!
//! The module sees its own half of the address space ([`layout`]). The kernel never reads or writes through the
//! module's addresses. It uses its own alias of the same frames, so that SMAP stays on throughout.

use core::arch::global_asm;
use core::mem::offset_of;

use bareflow_abi::interface::{Frame, Status};
use bareflow_loader::{Call, CallFailure, CallOutcome, FastReturn, TimedCall, TimedReply};
use bareflow_runtime::Reach;

use super::{Activation, OptionalReach, Processor, call_trampoline, decode_return, on_this_processor, run_timed};
use crate::image::Image;
use crate::image::user::UserMappings;
use crate::layout::user as layout;

unsafe extern "C" {
    // Takes the entry in rdi, the context in rsi, the reason in edx, the activation in rcx, and the page tables in
    // r8. Preserves only rbx and rbp.
    fn bareflow_user_trampoline();
}

global_asm!(
    ".global bareflow_user_trampoline",
    "bareflow_user_trampoline:",
    "push rbx",
    "push rbp",
    "mov [rcx], rsp",
    "mov r9, [rcx + 8]",
    "mov r10d, edx",
    // The same as `bareflow_clear_vectors`, inline.
    "cmp byte ptr [rip + bareflow_has_xsave], 0",
    "je 4f",
    "mov eax, -1",
    "mov edx, eax",
    "xrstor64 [rip + bareflow_clear_state]",
    "3: mov cr3, r8",
    "mov rsp, r9",
    "mov rcx, rdi",
    "mov rdi, rsi",
    "mov esi, r10d",
    // The flags of ring 3: interrupts on, all else clear.
    "mov r11d, 0x202",
    "xor eax, eax",
    // Clear the selectors, which may be another module's.
    "mov ds, eax",
    "mov es, eax",
    "mov fs, eax",
    "mov gs, eax",
    "xor ebx, ebx",
    "xor edx, edx",
    "xor ebp, ebp",
    "xor r8d, r8d",
    "xor r9d, r9d",
    "xor r10d, r10d",
    "xor r12d, r12d",
    "xor r13d, r13d",
    "xor r14d, r14d",
    "xor r15d, r15d",
    "sysretq",
    // It may leave the last x87 instruction's addresses, which this clears.
    "4: fninit",
    "fxrstor64 [rip + bareflow_clear_state]",
    "jmp 3b",
    // Every `syscall` arrives here, with interrupts on as in ring 3 (see `cpu`) and the address after it in rcx
    // (Intel SDM volume 2, SYSCALL). Traps have stacks of their own. Only a `syscall` in the page of stubs has a
    // meaning.
    ".global bareflow_syscall",
    "bareflow_syscall:",
    "cmp rcx, {returned}",
    "jne 2f",
    on_this_processor!("mov rcx, ", "current"),
    "mov rdx, [rip + bareflow_kernel_root]",
    "mov rsp, [rcx]",
    "mov cr3, rdx",
    "mov r8d, eax",
    "cmp byte ptr [rip + bareflow_has_xsave], 0",
    "je 4f",
    "mov eax, -1",
    "mov edx, eax",
    "xrstor64 [rip + bareflow_clear_state]",
    "3: mov eax, r8d",
    "xor edx, edx",
    "pop rbp",
    "pop rbx",
    "ret",
    // It may leave the last x87 instruction's addresses, which this clears.
    "4: fninit",
    "fxrstor64 [rip + bareflow_clear_state]",
    "jmp 3b",
    "2: cmp rcx, {invoke_returns}",
    "je bareflow_syscall_invoke",
    // Any other one is a service, or a violation: continue as a trap, on a stack of its own.
    on_this_processor!("mov ", "user_stack", ", rsp"),
    on_this_processor!("mov rsp, ", "service_stack_end"),
    "push {user_data}",
    on_this_processor!("push qword ptr ", "user_stack"),
    "push r11",
    "push {user_code}",
    "push rcx",
    "push 0",
    "push {syscall}",
    "jmp bareflow_trap",
    // Resets the registers of all vector units, and sets the control words as the System V ABI requires. Changes rax,
    // rcx and rdx.
    ".global bareflow_clear_vectors",
    "bareflow_clear_vectors:",
    "cmp byte ptr [rip + bareflow_has_xsave], 0",
    "je 3f",
    "mov eax, -1",
    "mov edx, -1",
    "xrstor64 [rip + bareflow_clear_state]",
    "ret",
    "3: fninit",
    "fxrstor64 [rip + bareflow_clear_state]",
    "ret",
    current = const offset_of!(Processor, current),
    user_stack = const offset_of!(Processor, user_stack),
    service_stack_end = const offset_of!(Processor, service_stack_end),
    returned = const layout::STUBS + layout::SYSCALL_SIZE,
    invoke_returns = const crate::syscall_stubs::INVOKE_RETURNS,
    user_data = const crate::selectors::USER_DATA,
    user_code = const crate::selectors::USER_CODE,
    syscall = const crate::frame::SYSCALL,
);

/// Calls a module in ring 3.
#[inline(always)]
pub(super) fn call(
    call: &Call<'_, Image>,
    user: &UserMappings,
    output: &mut [u8],
    reach: OptionalReach<'_>,
) -> Result<TimedCall, CallFailure> {
    let capacity = output.len();
    user.fill_input(call.input()).and_then(|()| user.make_output(capacity)).map_err(|_| CallFailure::NoMemory)?;
    let FastReturn { result, cycles } = enter(call, user, (call.input().len(), capacity), reach)?;
    Ok(TimedCall { outcome: CallOutcome { result, output_length: user.take_output(output) }, cycles })
}

/// Calls a method in ring 3, by a copy of what its frame leads to.
pub(super) fn call_method(
    call: &Call<'_, Image>,
    user: &UserMappings,
    frame: &mut Frame<'_>,
    reach: &Reach<'_>,
) -> Result<TimedReply, CallFailure> {
    let mut sizes = pack(user, frame)?;
    if !user.has_room(sizes) {
        sizes = pack_after_growth(user, frame, sizes)?;
    }
    let FastReturn { result, cycles } = enter(call, user, sizes, Some(reach))?;
    Ok(TimedReply {
        reply: frame.take_packed(Status::of_entry(result), |at, bytes| user.take_output_at(at, bytes)),
        cycles,
    })
}

/// Writes the packed form of a frame to a module's buffers, as far as there is room. Returns its lengths: input and output.
#[inline(always)]
fn pack(user: &UserMappings, frame: &mut Frame<'_>) -> Result<(usize, usize), CallFailure> {
    let sizes = frame.pack(|side, at, bytes| user.write_buffer(side, at, bytes));
    sizes.ok_or_else(|| no_room(user))
}

/// Writes the packed form of a frame, of these lengths, to a module's buffers once more, after there is room.
#[cold]
#[inline(never)]
fn pack_after_growth(
    user: &UserMappings,
    frame: &mut Frame<'_>,
    (input, output): (usize, usize),
) -> Result<(usize, usize), CallFailure> {
    user.make_input(input).and_then(|()| user.make_output(output)).map_err(|_| no_room(user))?;
    pack(user, frame)
}

/// Leaves nothing in a module's buffers of a frame for which there is no room: the next call may be another client's.
#[cold]
fn no_room(user: &UserMappings) -> CallFailure {
    user.clear_buffers();
    CallFailure::NoMemory
}

/// Enters a module whose buffers are filled, with so many bytes of input and room for so many bytes of output.
#[inline(always)]
fn enter(
    call: &Call<'_, Image>,
    user: &UserMappings,
    (input, output): (usize, usize),
    reach: OptionalReach<'_>,
) -> Result<FastReturn, CallFailure> {
    user.prepare(call.caller(), input, output);
    let buffers = ((layout::INPUT, input as u64), (layout::OUTPUT, output as u64));
    // The return address, which `prepare` wrote, is on top of the stack.
    let activation = Activation::new(call.module(), call.image(), layout::STACK_TOP - 8, buffers, reach);
    let root = user.root();
    let (exit_reason, returned) = run_timed(activation, call.timing(), |activation| {
        // SAFETY: the entry lies in the image's text, as validation checked; the page tables give ring 3 no access to
        // the kernel's memory; the trampoline returns by the stub or a trap.
        unsafe {
            let reason = u64::from(call.reason());
            call_trampoline!([sym bareflow_user_trampoline], activation, reason, "rdi" = call.entry(), "rsi" = layout::CONTEXT, "r8" = root)
        }
    });
    decode_return(exit_reason, returned)
}
