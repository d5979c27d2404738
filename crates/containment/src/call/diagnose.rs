//! The diagnosis of a module's trap.

use bareflow_loader::diagnosis::Diagnosis;
use bareflow_loader::diagnosis::decode::Memory;
use bareflow_loader::{Fault, FaultKind};

use super::Activation;
use crate::frame::TrapFrame;

/// Returns the diagnosis of a module's fault: what is known beyond its kind and place.
pub fn diagnose(frame: &TrapFrame, activation: &Activation, fault: &Fault) -> Diagnosis {
    let TrapFrame { rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15, .. } = *frame;
    let registers =
        [frame.rip, frame.rflags, rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15];
    let bytes = |address, length| activation.bytes(address, length);
    let memory = Memory { segments: &activation.image().segments, stack_top: activation.stack_top(), bytes };
    memory.diagnose(fault, registers, activation.services())
}

/// Returns the kind of an invalid opcode fault: the end that the module itself asked for, or an invalid instruction.
pub fn kind_of_invalid_opcode(frame: &TrapFrame, activation: &Activation) -> FaultKind {
    let bytes = |address, length| activation.bytes(address, length);
    let memory = Memory { segments: &activation.image().segments, stack_top: activation.stack_top(), bytes };
    memory.kind_of_invalid_opcode(frame.rip)
}
