//! The statistics of modules, in the layout of the kernel's console.

use std::cell::RefCell;
use std::fmt;

use bareflow_protocol::report::{Diagnosis, Module};
use bareflow_suite::console::{Console, Style};
use bareflow_suite::module_statistics::show_module;

/// The number of registers on one line of a diagnosis.
const REGISTERS: usize = 3;

/// A console that collects text, without its styles.
#[derive(Default)]
struct Text(RefCell<String>);

impl Console for Text {
    fn show(&self, _: Style, text: fmt::Arguments<'_>) {
        *self.0.borrow_mut() += &text.to_string();
    }
}

/// Formats the statistics of `modules`, with the diagnoses of their faults.
#[must_use]
pub fn text(modules: &[Module]) -> String {
    let all: Vec<_> = modules.iter().map(module_text).collect();
    if all.is_empty() { "no module is loaded".to_owned() } else { all.join("\n\n") }
}

fn module_text(module: &Module) -> String {
    let text = Text::default();
    show_module(&text, module, None);
    let diagnosis: Vec<_> = module.diagnosis.iter().flat_map(diagnosis_lines).collect();
    (text.0.take() + &diagnosis.join("\n")).trim_end().to_owned()
}

fn diagnosis_lines(diagnosis: &Diagnosis) -> Vec<String> {
    let mut lines: Vec<_> = diagnosis.remedy.iter().map(|remedy| format!("  {remedy}")).collect();
    lines.extend(diagnosis.panic.iter().map(|panic| format!("  panicked: {panic}")));
    for registers in diagnosis.registers.chunks(REGISTERS) {
        lines.push(registers.iter().map(|r| format!("  {:<6} {:#018x}", r.name, r.value)).collect());
    }
    // The code bytes are of use only together with their disassembly.
    if !diagnosis.code.is_empty() && !diagnosis.disassembly.is_empty() {
        lines.push(diagnosis.code.iter().fold("  code  ".to_owned(), |line, byte| format!("{line} {byte:02x}")));
    }
    lines.extend(diagnosis.disassembly.iter().map(|instruction| format!("    {instruction}")));
    lines.extend(diagnosis.services.iter().map(|call| format!("  called {call}")));
    lines
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use bareflow_loader::Budget;
    use bareflow_protocol::report::{Corrected, Fault, Register};

    pub(in crate::client::show) fn module(name: &str, version: &str) -> Module {
        Module {
            name: name.into(),
            version: version.into(),
            generation: 1,
            domain: "kernel".into(),
            state: "loaded".into(),
            active: true,
            memory_bytes: 12288,
            code_address: 0x9000_0000,
            cpu_level: 1,
            code_size: 6,
            blob_size: 134,
            engine: None,
            tier: None,
            ascent: None,
            call_count: 3,
            total_cycles: Some(70),
            min_cycles: Some(20),
            max_cycles: Some(30),
            avg_cycles: Some(23.333),
            std_dev: Some(4.0),
            p50_cycles: Some(20),
            p99_cycles: Some(30),
            corrected: Corrected { min: Some(1), avg: Some(1.5), p50: Some(1), p99: Some(2) },
            timed_calls: 0,
            batch: None,
            last_result: Some(5050),
            fault: None,
            diagnosis: None,
            faults: 0,
            restarts: 0,
            budget: Budget { time_us: 1000, stack_bytes: 65536, heap_bytes: 0, data_bytes: 0, memory_bytes: 0 },
            peak_stack_bytes: Some(4096),
            peak_heap_bytes: Some(300),
            parameters: Vec::new(),
            imports: Vec::new(),
            functions: Vec::new(),
            events: None,
            supervision: None,
        }
    }

    #[test]
    fn has_the_consoles_layout() {
        let expected = "\
=== Module Stats: sum ===
  Code address:  0x90000000
  Code size:     6 bytes
  Calls:         3
  Total cycles:  70
  Avg cycles:    23.33
  Min cycles:    20
  Max cycles:    30
  Std deviation: 4
  p50 / p99:     20 / 30
  Less the cycles of measuring:
    avg 1.50, min 1, p50 1, p99 2
  Version:       1.0.0 (load 1), blob 134 bytes
  Domain:        kernel, within 1000 us, stack 65536, heap 0 bytes
  Peak use:      stack 4096, heap 300 bytes
  Memory:        12288 bytes
  State:         loaded, last result 5050";
        assert_eq!(text(&[module("sum", "1.0.0")]), expected);
    }

    #[test]
    fn shows_all_that_is_known_of_a_fault() {
        let diagnosis = Diagnosis {
            registers: [Register { name: "rip".into(), value: 0x9000_0003 }].into(),
            code: [0x8b, 0].into(),
            disassembly: ["0x90000003: mov eax, [rax]".into()].into(),
            services: ["log(0x0, 0x1)".into()].into(),
            panic: None,
            remedy: None,
        };
        let faulty = Module {
            fault: Some(Fault { kind: "page_read".into(), offset: None, address: Some(0), function: None }),
            diagnosis: Some(diagnosis),
            avg_cycles: None,
            ..module("sum", "1.0.0")
        };
        let expected = "
  Fault:         page_read outside the module, address 0x0
  Faults:        0, restarts 0
  rip    0x0000000090000003
  code   8b 00
    0x90000003: mov eax, [rax]
  called log(0x0, 0x1)";
        let shown = text(&[faulty]);
        assert!(shown.ends_with(expected) && shown.contains("  Avg cycles:    -\n"), "{shown}");
        assert_eq!(text(&[]), "no module is loaded");
    }
}
