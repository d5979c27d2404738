//! Faults and their diagnoses.

use alloc::vec::Vec;

use bareflow_abi::header::SERVICE_NAMES;
use bareflow_loader::diagnosis::{REGISTER_NAMES, Remedy};
use bareflow_loader::{Diagnosis, ModuleProfile, Printable};
use bareflow_protocol::report::{self, Fault, Register};

use crate::fallible::{NoMemory, collect, copy};
use crate::text;

/// Converts a fault to its message, without the function.
#[must_use]
pub fn fault(fault: &bareflow_loader::Fault) -> Fault {
    Fault { kind: fault.kind.name().into(), offset: fault.offset, address: fault.address, function: None }
}

/// Converts a fault to its message, with the function to blame.
pub(super) fn in_function(found_fault: &bareflow_loader::Fault, found: Option<&Diagnosis>) -> Result<Fault, NoMemory> {
    let function = found.and_then(|found| found.function.as_ref());
    Ok(Fault { function: function.map(|function| text!("{function}")).transpose()?, ..fault(found_fault) })
}

fn diagnosis(found: &Diagnosis) -> Result<report::Diagnosis, NoMemory> {
    let registers = REGISTER_NAMES.iter().zip(found.registers);
    let panic =
        found.panic.as_ref().map(|panic| text!("{} ({}:{})", panic.message, Printable(panic.file.bytes()), panic.line));
    let call = |service: u32, [first, second]: [u64; 2]| {
        let name = SERVICE_NAMES.iter().find(|(bit, _)| *bit == service).map_or("unknown", |(_, name)| name);
        text!("{name}({first:#x}, {second:#x})")
    };
    Ok(report::Diagnosis {
        registers: collect::<_, NoMemory>(registers.map(|(name, value)| Ok(Register { name: (*name).into(), value })))?,
        code: copy(found.code())?,
        disassembly: Vec::new(),
        services: collect(found.services.calls().iter().map(|service| call(service.service, service.arguments)))?,
        panic: panic.transpose()?,
        remedy: None,
    })
}

/// Converts a diagnosis to its message, with the remedy for the module's last fault.
pub(super) fn explained(profile: &ModuleProfile, found: &Diagnosis) -> Result<report::Diagnosis, NoMemory> {
    let remedy = |fault| Remedy::of(fault, Some(found), &profile.budget, profile.services);
    let remedy = profile.fault.as_ref().and_then(remedy);
    Ok(report::Diagnosis { remedy: remedy.map(|remedy| text!("{remedy}")).transpose()?, ..diagnosis(found)? })
}
