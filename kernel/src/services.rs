//! What modules may ask of the kernel: in ring 0 by a call, in ring 3 by
//! `syscall`, through the same table.

use core::arch::global_asm;
use core::mem::offset_of;

use bareflow_abi::header::{SERVICE_CLOCK, SERVICE_LOG};
use bareflow_abi::{Context, Services};
use bareflow_loader::diagnosis::{Diagnosis, ServiceCall};
use bareflow_loader::report::Style;
use bareflow_loader::{Fault, FaultKind, Printable};

use crate::gate::user::layout::{STUB_SIZE, STUBS, SYSCALL_SIZE};
use crate::gate::{self, Record};
use crate::traps::{TrapFrame, diagnose, leave_module};
use crate::{clock, console};

/// The services there are.
pub const OFFERED: u32 = SERVICE_LOG | SERVICE_CLOCK;

/// The table modules in ring 0 are given.
pub static SERVICES: Services = Services::new(bareflow_log, tell_time);

/// The stubs' numbers in their page.
const RETURN_STUB: u64 = 0;
const LOG_STUB: u64 = 1;
const CLOCK_STUB: u64 = 2;

/// `syscall; ret`
const STUB: [u8; 3] = [0x0f, 0x05, 0xc3];

/// Longest line a module may log, in bytes.
const MAX_LINE: usize = 4096;

unsafe extern "C" {
    safe fn bareflow_log(context: *mut Context<'_>, text: *const u8, length: usize);
}

// A service runs on the kernel's stack, below what the gate saved there: how
// much of the module's stack is left is no concern of the kernel's code. A
// module that has no room for the word here overflows by itself.
global_asm!(
    ".global bareflow_log",
    "bareflow_log:",
    "push rbp",
    "mov rbp, rsp",
    "mov rcx, [rsp + 8]",
    // What compiled code relies on, whatever the module did (System V ABI 3.2.1).
    "cld",
    "mov rax, [rip + bareflow_current_call]",
    "mov rsp, [rax]",
    "and rsp, -16",
    "call {log}",
    "mov rsp, rbp",
    "pop rbp",
    "ret",
    log = sym log_in_ring_0,
);

extern "C" fn log_in_ring_0(_: *mut Context<'_>, text: *const u8, length: usize, caller: u64) {
    let Some(record) = gate::current() else { return };
    let done = log(record, text as u64, length as u64, caller);
    if let Some(fault) = done.err().or_else(|| gate::break_off(record)) {
        let diagnosis = Diagnosis { services: record.services(), ..Diagnosis::at(caller) };
        gate::end_call(fault, Some(diagnosis));
    }
}

extern "C" fn tell_time(_: *mut Context<'_>) -> u64 {
    clock::now()
}

/// What a `syscall` in ring 3 means.
pub fn handle_syscall(frame: &mut TrapFrame) {
    let Some(record) = gate::current() else { return };
    let stub = |number| STUBS + number * STUB_SIZE + SYSCALL_SIZE;
    let fault = match frame.rip {
        rip if record.is_user() && rip == stub(LOG_STUB) => log(record, frame.rsi, frame.rdx, caller(record, frame)).err(),
        rip if record.is_user() && rip == stub(CLOCK_STUB) => {
            record.log_service(ServiceCall { service: SERVICE_CLOCK, arguments: [0; 2] });
            frame.rax = clock::now();
            None
        }
        // The instruction is for the stubs alone.
        rip => {
            let rip = rip.wrapping_sub(SYSCALL_SIZE);
            frame.rip = rip;
            Some(Fault { kind: FaultKind::GeneralProtection, offset: record.image().segments.offset_of(rip), address: None })
        }
    };
    if let Some(fault) = fault.or_else(|| gate::break_off(record)) {
        let diagnosis = diagnose(frame, record, &fault);
        leave_module(frame, fault, Some(diagnosis));
    }
}

/// Where a stub was called from: the word on top of the module's stack.
fn caller(record: &Record, frame: &TrapFrame) -> u64 {
    let word = record.bytes(frame.rsp, 8).and_then(|bytes| bytes.try_into().ok());
    word.map_or(0, u64::from_le_bytes)
}

/// Shows a line of a module.
fn log(record: &Record, address: u64, length: u64, caller: u64) -> Result<(), Fault> {
    record.log_service(ServiceCall { service: SERVICE_LOG, arguments: [address, length] });
    match record.bytes(address, length).filter(|bytes| bytes.len() <= MAX_LINE) {
        Some(bytes) => {
            console::show(Style::Plain, format_args!("  [LOG] {}: {}\n", record.module(), Printable(bytes)));
            Ok(())
        }
        None => {
            let offset = record.image().segments.offset_of(caller);
            Err(Fault { kind: FaultKind::BadServiceArgument, offset, address: Some(address) })
        }
    }
}

/// The page of stubs: the one that ends a call, that of `log` and that of `clock`.
pub fn fill_stubs() -> [u8; 3 * STUB_SIZE as usize] {
    let mut page = [0xcc; 3 * STUB_SIZE as usize];
    for number in [RETURN_STUB, LOG_STUB, CLOCK_STUB] {
        let start = (number * STUB_SIZE) as usize;
        if let Some(place) = page.get_mut(start..start + STUB.len()) {
            place.copy_from_slice(&STUB);
        }
    }
    page
}

/// The table of services as modules in ring 3 see it.
pub fn fill_table() -> [u8; size_of::<Services>()] {
    let mut table = [0; size_of::<Services>()];
    let mut put = |offset: usize, bytes: &[u8]| {
        if let Some(place) = table.get_mut(offset..offset + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(offset_of!(Services, size), &(size_of::<Services>() as u32).to_le_bytes());
    put(offset_of!(Services, log), &(STUBS + LOG_STUB * STUB_SIZE).to_le_bytes());
    put(offset_of!(Services, clock), &(STUBS + CLOCK_STUB * STUB_SIZE).to_le_bytes());
    table
}
