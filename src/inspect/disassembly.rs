//! A module's text, instruction by instruction.

use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
use serde::Serialize;

/// One instruction.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    pub offset: String,
    pub bytes: String,
    pub instruction: String,
}

/// The instructions of `text`, whose entry lies at `entry`.
pub(super) fn disassemble(text: &[u8], entry: u32) -> Vec<Line> {
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_space_after_operand_separator(true);
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_branch_leading_zeros(false);
    let mut decoder = Decoder::with_ip(64, text, 0, DecoderOptions::NONE);
    let mut lines = Vec::new();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        let mut shown = String::new();
        formatter.format(&instruction, &mut shown);
        let start = instruction.ip() as usize;
        let bytes = text.get(start..start + instruction.len()).unwrap_or_default();
        if instruction.ip() == u64::from(entry) {
            shown.push_str("  ; entry");
        }
        lines.push(Line {
            offset: format!("{start:#x}"),
            bytes: bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            instruction: shown,
        });
    }
    lines
}
