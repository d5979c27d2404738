//! The test whether a trap is a software interrupt: one that a module raised by the instruction `int N`.
//!
//! The processor's own state decides wherever it shows the difference. The bytes before the instruction pointer are
//! enough only for vectors that end the call in both cases: `mov eax, 0x20cd0000`, for instance, ends in the bytes of
//! `int 32`.

use bareflow_runtime::RunningCall;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};
use x86_64::registers::model_specific::Msr;
use x86_64::registers::mxcsr;
use x86_64::registers::rflags::RFlags;

use crate::call::Activation;
use crate::frame::{ERROR_CODES, NO_ERROR_CODE, TrapFrame};
use crate::kernel::{Ticks, ticks};
use crate::timer;

/// The first byte of `int N`; the exception's number follows.
const INT: u8 = 0xcd;

/// The register that shows whether a machine check is being handled, and its bit (Intel SDM volume 3, 16.3.1.2).
const MACHINE_CHECK_STATUS: u32 = 0x17a;
const IN_PROGRESS: u64 = 1 << 2;

/// The bit of the x87 status word for a pending unmasked exception (Intel SDM volume 1, 8.1.3).
const X87_PENDING: u16 = 1 << 7;

/// The distance of each SSE exception's mask bit from its flag (Intel SDM volume 1, 10.2.3).
const MASKS_SHIFT: u32 = 7;
const SSE_EXCEPTIONS: u32 = 0x3f;

/// The prefixes of instructions, except those of 64-bit operands, 0x40 to 0x4f (Intel SDM volume 2, 2.1.1).
const PREFIXES: [u8; 11] = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3];

/// The length of the longest instruction, in bytes.
const LONGEST: u64 = 15;

/// Returns whether a trap in a module is a software interrupt: `int` with its number raised it. For a tick, call this
/// before its end is signalled.
pub fn is_software_interrupt(frame: &TrapFrame, activation: &Activation) -> bool {
    if frame.cs & 3 != 0 {
        // In ring 3 every `int` but `int3` is a protection fault, whose error code names the vector.
        return frame.vector == 3 && follows_int(frame, activation);
    }
    match frame.vector {
        vector if has_error_code(vector) => frame.error == NO_ERROR_CODE,
        vector @ (timer::FIRST_DEVICE..=timer::LAST_DEVICE | timer::FIRST_UNUSED..) => {
            !ticks().is_some_and(|ticks| ticks.is_vector_in_service(vector as u8))
        }
        timer::TICK => !ticks().is_some_and(Ticks::is_in_service),
        18 => !is_machine_check(),
        // No hardware raises these in 64-bit mode. The next ones are judged only by the code before the trap.
        4 | 5 | 9 => true,
        1..=3 => follows_int(frame, activation),
        // The rest are faults: the processor sets the flag for them, and `int` does not (Intel SDM volume 3,
        // 18.3.1.1). The emulator of QEMU 7.2 never sets it.
        _ if frame.rflags & RFlags::RESUME_FLAG.bits() != 0 => false,
        0 => follows_int(frame, activation) && !is_division(&code_at(frame, activation)),
        6 => follows_int(frame, activation) && !is_undefined(&code_at(frame, activation)),
        7 => !are_units_off(),
        16 => are_units_off() || !is_x87_pending(),
        19 => are_units_off() || !is_sse_pending(),
        _ => false,
    }
}

/// Returns whether the instruction `int` with the trap's number ends right before the place of the trap.
pub fn follows_int(frame: &TrapFrame, activation: &Activation) -> bool {
    is_code(activation, frame.rip.wrapping_sub(2), [INT, frame.vector as u8])
}

/// Returns whether the module's text has the bytes `code` at `address`.
fn is_code<const N: usize>(activation: &Activation, address: u64, code: [u8; N]) -> bool {
    activation.segments().is_text(address, N as u64) && activation.bytes(address, N as u64) == Some(&code)
}

/// Returns whether the exception comes with an error code (Intel SDM volume 3, table 7-1; AMD APM 2, 8.2).
const fn has_error_code(vector: u64) -> bool {
    vector < 32 && ERROR_CODES >> vector & 1 != 0
}

fn is_machine_check() -> bool {
    // SAFETY: a processor on which the bit could be set has that register; reading it has no effect.
    Cr4::read().contains(Cr4Flags::MACHINE_CHECK_EXCEPTION)
        && unsafe { Msr::new(MACHINE_CHECK_STATUS).read() } & IN_PROGRESS != 0
}

/// Returns whether an instruction of the x87 or vector unit would raise another exception first.
fn are_units_off() -> bool {
    Cr0::read().intersects(Cr0Flags::TASK_SWITCHED | Cr0Flags::EMULATE_COPROCESSOR)
}

fn is_x87_pending() -> bool {
    let status: u16;
    // SAFETY: this form waits for no exception and changes nothing; the caller has checked that the units are on.
    unsafe { core::arch::asm!("fnstsw ax", out("ax") status, options(nomem, nostack, preserves_flags)) };
    status & X87_PENDING != 0
}

fn is_sse_pending() -> bool {
    let word = mxcsr::read().bits();
    word & !(word >> MASKS_SHIFT) & SSE_EXCEPTIONS != 0
}

/// Returns the module's text from the place of a trap on, with zeros after its end.
fn code_at(frame: &TrapFrame, activation: &Activation) -> [u8; LONGEST as usize] {
    let mut code = [0; LONGEST as usize];
    for (target, address) in code.iter_mut().zip(frame.rip..) {
        let byte = activation.bytes(address, 1).filter(|_| activation.segments().is_text(address, 1));
        *target = byte.and_then(|byte| byte.first()).copied().unwrap_or(0);
    }
    code
}

/// Returns whether the instruction is `div` or `idiv`, the only ones that raise a divide error.
fn is_division(code: &[u8]) -> bool {
    let is_prefix = |byte: &u8| PREFIXES.contains(byte) || (0x40..0x50).contains(byte);
    let code = code.get(code.iter().take_while(|byte| is_prefix(byte)).count()..).unwrap_or_default();
    // The register field of the byte after the opcode selects the instruction in its group.
    matches!(code, [0xf6 | 0xf7, operands, ..] if operands >> 3 & 0b110 == 0b110)
}

/// Returns whether the instruction is one of those that are defined to stay undefined.
const fn is_undefined(code: &[u8]) -> bool {
    matches!(code, [0x0f, 0x0b | 0xb9 | 0xff, ..] | [_, 0x0f, 0x0b | 0xb9 | 0xff, ..])
}
