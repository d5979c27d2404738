//! The tables of services in ring 0: one for each set that a module can declare. The entry of an undeclared service
//! leads to code that ends the call. In ring 3 there is one table, and the stubs of services that a module does not
//! declare end its call, however it reaches them.

use core::arch::global_asm;

use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_LOG};
use bareflow_abi::{CallArguments, Context, Services};
use bareflow_loader::diagnosis::ServiceCall;
use bareflow_loader::{Fault, FaultKind};

use super::{OFFERED, bareflow_call, bareflow_log, bareflow_recorded_clock, end_at_fault, tell_time};
use crate::call::{self, Activation};
use crate::kernel::observers;
use crate::stubs::{CALL_STUB, CLOCK_STUB, LOG_STUB, stub};

/// The bit of a table whose clock records the times it returns.
const RECORDED: u32 = (OFFERED + 1).next_power_of_two();

/// The tables, indexed by the bits of their services.
static TABLES: [Services; (OFFERED | RECORDED) as usize + 1] = {
    let mut tables = [const { Services::new(bareflow_no_log, bareflow_no_clock) }; (OFFERED | RECORDED) as usize + 1];
    let mut services = 0;
    while services < tables.len() {
        let declared = services as u32;
        tables[services] = Services::new(
            if declared & SERVICE_LOG == 0 { bareflow_no_log } else { bareflow_log },
            match (declared & SERVICE_CLOCK, declared & RECORDED) {
                (0, _) => bareflow_no_clock,
                (_, 0) => tell_time,
                _ => bareflow_recorded_clock,
            },
        )
        .with_call(if declared & SERVICE_CALL == 0 { bareflow_no_call } else { bareflow_call });
        services += 1;
    }
    tables
};

/// Returns the table of a module that declares `services`.
#[inline(always)]
pub fn table(services: u32) -> &'static Services {
    &TABLES[((services & OFFERED) | (RECORDED * observers())) as usize % TABLES.len()]
}

unsafe extern "C" {
    fn bareflow_no_log(context: *mut Context<'_>, text: *const u8, length: usize);
    fn bareflow_no_clock(context: *mut Context<'_>) -> u64;
    fn bareflow_no_call(context: *mut Context<'_>, arguments: *mut CallArguments<'_>) -> u32;
}

// The same as `bareflow_log`.
global_asm!(
    ".global bareflow_no_log",
    ".global bareflow_no_clock",
    ".global bareflow_no_call",
    "bareflow_no_log:",
    "mov ecx, {log}",
    "jmp 2f",
    "bareflow_no_clock:",
    "mov ecx, {clock}",
    "jmp 2f",
    "bareflow_no_call:",
    "mov ecx, {call}",
    "2: push rbp",
    "mov rbp, rsp",
    "mov rdi, [rsp + 8]",
    "cld",
    "mov rax, [rip + bareflow_current_call]",
    "mov rsp, [rax]",
    "and rsp, -16",
    "call {end_in_ring_0}",
    // Reached only if no call is running.
    "mov rsp, rbp",
    "pop rbp",
    "ret",
    log = const SERVICE_LOG,
    clock = const SERVICE_CLOCK,
    call = const SERVICE_CALL,
    end_in_ring_0 = sym end_in_ring_0,
);

extern "C" fn end_in_ring_0(caller: u64, first: u64, second: u64, service: u32) {
    let Some(activation) = call::current() else { return };
    let fault = fault(activation, ServiceCall { service, arguments: [first, second] }, caller);
    end_at_fault(activation, fault, caller);
}

/// Notes the call of an undeclared service from `caller`, and returns the fault.
pub fn fault(activation: &Activation, call: ServiceCall, caller: u64) -> Fault {
    let arguments = if call.service == SERVICE_CLOCK { [0; 2] } else { call.arguments };
    activation.log_service(ServiceCall { arguments, ..call });
    Fault { kind: FaultKind::GeneralProtection, offset: activation.image().segments.offset_of(caller), address: None }
}

/// Returns the service whose stub a `syscall` at `rip` belongs to, unless it is `declared`.
pub fn service_of(rip: u64, declared: u32) -> Option<u32> {
    let stubs = [(LOG_STUB, SERVICE_LOG), (CLOCK_STUB, SERVICE_CLOCK), (CALL_STUB, SERVICE_CALL)];
    let found = stubs.into_iter().find(|&(number, _)| rip == stub(number));
    found.map(|(_, service)| service).filter(|service| declared & service == 0)
}
