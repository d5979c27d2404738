//! Disassembly of the code at modules' faults, which only the host adds to a report.

use bareflow_loader::FaultKind;
use bareflow_protocol::Report;
use bareflow_protocol::report::Module;

use crate::inspect::disassembly::instructions_at;
use crate::say;

/// The number of instructions shown for a fault.
const SHOWN: usize = 4;

/// Disassembles the code at each fault of `report`, and prints it.
pub fn disassemble_faults(report: &mut Report) {
    for module in &mut report.modules {
        disassemble(module);
        let (Some(diagnosis), Some(fault)) = (&module.diagnosis, &module.fault) else { continue };
        if diagnosis.disassembly.is_empty() {
            continue;
        }
        let function = fault.function.as_ref().map(|function| format!(" in {function}")).unwrap_or_default();
        say!("\n[FAULT] code of {} {} at its {}{function}:", module.name, module.version, fault.kind);
        for line in &diagnosis.disassembly {
            say!("  {line}");
        }
    }
}

/// Disassembles the code at a module's fault.
///
/// Faults that a module raises itself, such as panics, are left out: their code is the same in all modules.
pub fn disassemble(module: &mut Module) {
    let (Some(diagnosis), Some(fault)) = (&mut module.diagnosis, &module.fault) else { return };
    if FaultKind::ALL.iter().any(|kind| kind.is_modules_own_word() && kind.name() == fault.kind) {
        return;
    }
    let Some(rip) = diagnosis.registers.first().map(|register| register.value) else { return };
    diagnosis.disassembly = instructions_at(rip, &diagnosis.code);
    diagnosis.disassembly.truncate(SHOWN);
}
