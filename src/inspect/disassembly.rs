//! Disassembly of a module's text.

use bareflow_abi::symbols::{Symbol, Symbols};
use bareflow_abi::trap_codes::PANIC_INSTRUCTION;
use bareflow_loader::Printable;
use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, IntelFormatter, Mnemonic, OpKind};
use serde::Serialize;

use super::place;

/// One instruction.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub offset: String,
    /// The name of the function that begins here.
    pub function: Option<String>,
    pub bytes: String,
    pub instruction: String,
}

/// Returns a comment on an instruction: the entry, a panic, or the target of a reference.
fn note(instruction: &Instruction, bytes: &[u8], entry: u32, names: &Names) -> Option<String> {
    if instruction.ip() == u64::from(entry) {
        return Some("entry".to_owned());
    }
    if bytes == PANIC_INSTRUCTION {
        return Some("panic".to_owned());
    }
    if instruction.is_ip_rel_memory_operand() {
        return Some(place(instruction.ip_rel_memory_address()));
    }
    if instruction.op0_kind() != OpKind::NearBranch64 {
        return None;
    }
    let target = instruction.near_branch_target();
    if let Some(name) = names.at(target) {
        return Some(name.to_owned());
    }
    let calls = instruction.mnemonic() == Mnemonic::Call;
    (calls && target == u64::from(entry)).then(|| "calls the entry".to_owned())
}

/// The offsets and names of functions, in ascending order.
struct Names(Vec<(u64, String)>);

impl Names {
    /// Reads the functions from a list of [`Symbols`], up to the first entry that can't be read.
    fn of(list: &[u8]) -> Names {
        let readable = Symbols::new(list).map_while(Result::ok);
        let named = |symbol: Symbol<'_>| (u64::from(symbol.offset), Printable(symbol.name.as_bytes()).to_string());
        Names(readable.map(named).collect())
    }

    /// Returns the name of the function that begins at `offset`.
    fn at(&self, offset: u64) -> Option<&str> {
        let index = self.0.binary_search_by_key(&offset, |(start, _)| *start).ok()?;
        self.0.get(index).map(|(_, name)| name.as_str())
    }
}

fn formatter() -> IntelFormatter {
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_space_after_operand_separator(true);
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_branch_leading_zeros(false);
    formatter
}

/// Disassembles `code`, which was at `address`, up to the first invalid instruction.
pub(crate) fn instructions_at(address: u64, code: &[u8]) -> Vec<String> {
    let mut formatter = formatter();
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut shown = Vec::new();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        if instruction.is_invalid() {
            break;
        }
        let mut text = String::new();
        formatter.format(&instruction, &mut text);
        shown.push(format!("{:#x}: {text}", instruction.ip()));
    }
    shown
}

/// Disassembles `text`; `entry` is the entry's offset, and `symbols` a list of [`Symbols`].
pub(super) fn disassemble(text: &[u8], entry: u32, symbols: &[u8]) -> Vec<Line> {
    let mut formatter = formatter();
    let mut decoder = Decoder::with_ip(64, text, 0, DecoderOptions::NONE);
    let (names, mut lines) = (Names::of(symbols), Vec::new());
    while decoder.can_decode() {
        let instruction = decoder.decode();
        let mut shown = String::new();
        formatter.format(&instruction, &mut shown);
        let start = instruction.ip() as usize;
        let bytes = text.get(start..start + instruction.len()).unwrap_or_default();
        if let Some(note) = note(&instruction, bytes, entry, &names) {
            shown = format!("{shown}  ; {note}");
        }
        lines.push(Line {
            offset: format!("{start:#x}"),
            function: names.at(instruction.ip()).map(str::to_owned),
            bytes: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            instruction: shown,
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_functions_as_instructions_take_no_time_to_speak_of() {
        const COUNT: u32 = 120_000;
        let mut list = Vec::new();
        for offset in 0..COUNT {
            Symbol { offset, size: 1, name: "f" }.encode(offset, &mut |bytes| list.extend(bytes));
        }
        let start = std::time::Instant::now();
        let lines = disassemble(&[0x90; COUNT as usize], 0, &list);
        assert!(lines.len() == COUNT as usize && lines.iter().all(|line| line.function.as_deref() == Some("f")));
        // Searching the names from the beginning each time would take minutes.
        assert!(start.elapsed() < std::time::Duration::from_secs(20));
    }
}
