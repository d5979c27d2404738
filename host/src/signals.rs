//! Faults of modules arrive as signals. The handler turns them into a
//! [`Fault`] and sends execution back to the gate.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::zeroed;
use std::ptr::null_mut;
use std::sync::OnceLock;

use bareflow_abi::trap::PANIC_INSTRUCTION;
use bareflow_loader::{Fault, FaultKind, Printable};
use libc::{REG_EFL, REG_ERR, REG_RDI, REG_RIP, REG_RSI, REG_RSP, REG_TRAPNO, siginfo_t, ucontext_t};

use crate::gate::{self, Record};

/// What a module can bring about.
const SIGNALS: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP];

/// Bytes of the stack the handler runs on: a module may have used up its own.
const STACK_SIZE: usize = 64 << 10;

/// Page fault error code: the access was a write.
const WRITE: i64 = 1 << 1;

/// Page fault error code: the access was an instruction fetch.
const FETCH: i64 = 1 << 4;

/// How far from the stack pointer an access still belongs to the stack, in bytes.
const STACK_REACH: u64 = 64 << 10;

/// What the signals did before.
static BEFORE: OnceLock<Vec<libc::sigaction>> = OnceLock::new();

/// Installs the handler for the process, and a stack for it on this thread.
pub(crate) fn install() -> io::Result<()> {
    let stack = Box::leak(vec![0_u8; STACK_SIZE].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK_SIZE };
    // SAFETY: the stack is leaked, so it is there as long as the thread.
    check(unsafe { libc::sigaltstack(&raw const stack, null_mut()) })?;
    if BEFORE.get().is_some() {
        return Ok(());
    }
    let mut before = Vec::new();
    for signal in SIGNALS {
        // SAFETY: all zeros are a valid action, which is then filled in.
        let (mut action, mut old): (libc::sigaction, libc::sigaction) = unsafe { (zeroed(), zeroed()) };
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        // SAFETY: the handler has the signature that SA_SIGINFO asks for, and does only what a handler may.
        check(unsafe { libc::sigaction(signal, &raw const action, &raw mut old) })?;
        before.push(old);
    }
    // Another thread was faster: its list holds what was there before both.
    let _ = BEFORE.set(before);
    Ok(())
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes both for as long as the handler runs.
    let (info, context) = unsafe { (&*info, &mut *context.cast::<ucontext_t>()) };
    let registers = &mut context.uc_mcontext.gregs;
    match gate::current().filter(|record| !record.in_service.get()) {
        Some(record) => {
            let fault = fault(record, info, registers);
            let (rip, rsp) = record.recover(fault);
            (registers[REG_RIP as usize], registers[REG_RSP as usize]) = (rip.cast_signed(), rsp.cast_signed());
            // Direction, trap and alignment-check flags are the module's: bit 1 is always set.
            registers[REG_EFL as usize] = 0x202;
        }
        // Not a module's: as if this handler had never been. The instruction faults again.
        None => restore(signal),
    }
}

fn restore(signal: c_int) {
    let index = SIGNALS.iter().position(|&known| known == signal);
    let before = BEFORE.get().zip(index).and_then(|(before, index)| before.get(index));
    if let Some(action) = before {
        // SAFETY: the action is the one the system gave out.
        unsafe { libc::sigaction(signal, action, null_mut()) };
    }
}

/// What the module did. The processor's exception number is in the context.
fn fault(record: &Record<'_>, info: &siginfo_t, registers: &[i64]) -> Fault {
    let register = |index: c_int| registers[index as usize].cast_unsigned();
    let mut rip = register(REG_RIP);
    let mut address = None;
    let kind = match registers[REG_TRAPNO as usize] {
        0 => FaultKind::Divide,
        3 => {
            rip = rip.wrapping_sub(1);
            FaultKind::Breakpoint
        }
        6 if is_panic(record, rip) => {
            show_panic(record, register(REG_RDI), register(REG_RSI));
            FaultKind::Panic
        }
        6 => FaultKind::InvalidOpcode,
        14 => {
            // SAFETY: this exception's signals carry the address that was accessed.
            let accessed = unsafe { info.si_addr() }.addr() as u64;
            address = Some(accessed);
            page_fault(registers[REG_ERR as usize], accessed, register(REG_RSP))
        }
        16 => FaultKind::X87,
        17 => FaultKind::Alignment,
        19 => FaultKind::Simd,
        _ => FaultKind::GeneralProtection,
    };
    Fault { kind, offset: record.image.offset_of(rip), address }
}

fn page_fault(error: i64, address: u64, stack: u64) -> FaultKind {
    if error & FETCH != 0 {
        FaultKind::PageExecute
    } else if address.abs_diff(stack) < STACK_REACH {
        FaultKind::StackOverflow
    } else if error & WRITE != 0 {
        FaultKind::PageWrite
    } else {
        FaultKind::PageRead
    }
}

/// Whether the instruction is the one a module's panic ends in.
fn is_panic(record: &Record<'_>, rip: u64) -> bool {
    if !record.image.contains(rip, PANIC_INSTRUCTION.len() as u64) {
        return false;
    }
    let bytes: *const [u8; PANIC_INSTRUCTION.len()] = std::ptr::with_exposed_provenance(rip as usize);
    // SAFETY: the bytes were just found to lie in the module's memory, which is mapped.
    unsafe { bytes.read_unaligned() == PANIC_INSTRUCTION }
}

/// Passes a panic's message on. The handler runs on behalf of the module's
/// thread, which was in the module's code: no lock of ours is held.
fn show_panic(record: &Record<'_>, address: u64, length: u64) {
    let message = if length <= 512 && record.may_read(address, length) {
        // SAFETY: the bytes were just found to lie in the module's memory, which is mapped.
        let bytes =
            unsafe { std::slice::from_raw_parts(std::ptr::with_exposed_provenance(address as usize), length as usize) };
        Printable(bytes).to_string()
    } else {
        "(unreadable)".to_owned()
    };
    record.in_service.set(true);
    (record.log)(&format!("[FAULT] module {} panicked: {message}", record.module));
    record.in_service.set(false);
}
