//! The tables of services: one for each set of services that a module can declare.
//!
//! The entry of a service that is not declared points to code that ends the call.

use std::arch::global_asm;

use bareflow_abi::header::{SERVICE_CALL, SERVICE_CLOCK, SERVICE_LOG};
use bareflow_abi::{CallArguments, Context, Services};
use bareflow_loader::diagnosis::ServiceCall;
use bareflow_loader::{Fault, FaultKind};

use super::nested::bareflow_host_call;
use super::{OFFERED, bareflow_host_log, bareflow_host_told_clock, clock, enter_service};
use crate::call::trampoline;

/// The bit of tables with the embedder's clock.
const TOLD: u32 = (OFFERED + 1).next_power_of_two();

/// The tables, indexed by the bits of their services.
static TABLES: [Services; (OFFERED | TOLD) as usize + 1] = {
    let mut tables =
        [const { Services::new(bareflow_host_no_log, bareflow_host_no_clock) }; (OFFERED | TOLD) as usize + 1];
    let mut services = 0;
    while services < tables.len() {
        let declared = services as u32;
        tables[services] = Services::new(
            if declared & SERVICE_LOG == 0 { bareflow_host_no_log } else { bareflow_host_log },
            match (declared & SERVICE_CLOCK, declared & TOLD) {
                (0, _) => bareflow_host_no_clock,
                (_, 0) => clock,
                _ => bareflow_host_told_clock,
            },
        )
        .with_call(if declared & SERVICE_CALL == 0 { bareflow_host_no_call } else { bareflow_host_call });
        services += 1;
    }
    tables
};

/// Returns the table for a module that declares `services`, with the embedder's clock if it is `told` the time.
pub(crate) fn table_of(services: u32, told: bool) -> &'static Services {
    let told = if told { TOLD } else { 0 };
    &TABLES[(services & OFFERED | told) as usize]
}

unsafe extern "C" {
    fn bareflow_host_no_log(context: *mut Context<'_>, text: *const u8, length: usize);
    fn bareflow_host_no_clock(context: *mut Context<'_>) -> u64;
    fn bareflow_host_no_call(context: *mut Context<'_>, arguments: *mut CallArguments<'_>) -> u32;
}

// Like `bareflow_host_log`, except that the call always ends.
global_asm!(
    ".global bareflow_host_no_log",
    ".global bareflow_host_no_clock",
    ".global bareflow_host_no_call",
    "bareflow_host_no_log:",
    "mov r10d, {log}",
    "jmp 2f",
    "bareflow_host_no_clock:",
    "mov r10d, {clock}",
    "jmp 2f",
    "bareflow_host_no_call:",
    "mov r10d, {call}",
    "2:",
    enter_service!(),
    "push rdi",
    "push rsi",
    "push rdx",
    "push rcx",
    "mov edi, r10d",
    "call {undeclared}",
    "pop rcx",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "mov rsp, rbp",
    "pop rbp",
    "jmp bareflow_host_service_end",
    log = const SERVICE_LOG,
    clock = const SERVICE_CLOCK,
    call = const SERVICE_CALL,
    undeclared = sym undeclared,
);

/// Records the fault of a module that called `service`, and the arguments that it passed.
extern "C" fn undeclared(service: u32, first: u64, second: u64) {
    let Some(activation) = trampoline::current() else { return };
    let used = if service == SERVICE_CLOCK { [0; 2] } else { [first, second] };
    activation.log_service(ServiceCall { service, arguments: used });
    activation.set_fault(Fault { kind: FaultKind::GeneralProtection, offset: None, address: None });
    activation.leave_service();
}
