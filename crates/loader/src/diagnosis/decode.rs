//! Decodes registers and memory to a [`Diagnosis`].
//!
//! That includes the panic or heap request that a module reports, and the faulting code.
//!
//! The registers are under the module's control. Each range that they name is checked before it is read, so that only
//! the module's own bytes are ever read.

use bareflow_abi::trap_codes::{HEAP_INSTRUCTION, PANIC_INSTRUCTION};

use super::callers::SEARCHED_SIZE;
use super::{CODE_SIZE, Callers, Diagnosis, MESSAGE_SIZE, PanicMessage, REGISTER_NAMES, ServiceLog, Text};
use crate::fault::{Fault, FaultKind};
use crate::format::segments::Segments;

/// Indices of registers in [`REGISTER_NAMES`].
const RCX: usize = 4;
const RDX: usize = 5;
const RSI: usize = 6;
const RDI: usize = 7;
const RSP: usize = 9;
const R8: usize = 10;
const R9: usize = 11;

/// The placeholder for a text that does not lie in the module's memory.
const UNREADABLE: &[u8] = b"(unreadable)";

/// A module's memory, as the platform's fault handler sees it.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'image, Bytes> {
    /// The module's segments.
    pub segments: &'image Segments,
    /// The end of the module's stack, as the module sees it.
    pub stack_top: u64,
    /// Returns `length` bytes at `address`, as the module sees them.
    ///
    /// `None` unless all of them are the module's: in its segments, its heap, its stack, its input or its output.
    pub bytes: Bytes,
}

impl<'module, Bytes: Fn(u64, u64) -> Option<&'module [u8]>> Memory<'_, Bytes> {
    /// Classifies an invalid instruction at `rip`: a panic, an exhausted heap, or a plain invalid opcode.
    ///
    /// The first two are instructions of their own (`bareflow_abi::trap_codes`), and must lie in the module's text.
    #[must_use]
    pub fn kind_of_invalid_opcode(&self, rip: u64) -> FaultKind {
        let length = PANIC_INSTRUCTION.len() as u64;
        match self.read(rip, length).filter(|_| self.segments.is_text(rip, length)) {
            Some(code) if code == PANIC_INSTRUCTION => FaultKind::Panic,
            Some(code) if code == HEAP_INSTRUCTION => FaultKind::HeapBudget,
            _ => FaultKind::InvalidOpcode,
        }
    }

    /// Builds the diagnosis of `fault` from the registers and the last service calls.
    ///
    /// The registers are in the order of [`REGISTER_NAMES`].
    ///
    /// Leaves only `function` open, which the loader fills in.
    #[must_use]
    pub fn diagnose(&self, fault: &Fault, registers: [u64; REGISTER_NAMES.len()], services: ServiceLog) -> Diagnosis {
        let mut code = [0; CODE_SIZE];
        let found = fault.offset.map_or(&[][..], |offset| self.code_at(self.segments.base.wrapping_add(offset)));
        code.iter_mut().zip(found).for_each(|(target, byte)| *target = *byte);
        let panic = (fault.kind == FaultKind::Panic).then(|| PanicMessage {
            message: self.text(registers[RDI], registers[RSI]),
            file: self.text(registers[RDX], registers[RCX]),
            line: registers[R8] as u32,
        });
        let (asked, complement) = (registers[RDI], registers[RSI]);
        // Modules built with an older ABI have something else in these registers.
        let heap_request = (fault.kind == FaultKind::HeapBudget && asked == !complement).then_some(asked);
        let is_own_word = fault.kind.is_modules_own_word();
        let callers = if is_own_word { self.callers([registers[R9], registers[RSP]]) } else { Callers::NONE };
        Diagnosis { registers, code, code_length: found.len(), services, panic, heap_request, callers, function: None }
    }

    /// Returns the text from `start` on, as many bytes as a diagnosis keeps.
    fn code_at(&self, start: u64) -> &'module [u8] {
        let is_text = |&index: &u64| self.segments.is_text(start.wrapping_add(index), 1);
        let length = (0..CODE_SIZE as u64).take_while(is_text).count();
        self.read(start, length as u64).unwrap_or_default()
    }

    fn text(&self, address: u64, length: u64) -> Text {
        let shown = length.min(MESSAGE_SIZE as u64);
        Text::new(self.read(address, shown).unwrap_or(UNREADABLE)).cut(length > shown)
    }

    /// Returns the return addresses on the stack, from the first of `starts` that lies on it.
    fn callers(&self, starts: [u64; 2]) -> Callers {
        let stack = |start: u64| {
            let length = self.stack_top.checked_sub(start).filter(|&length| start.is_multiple_of(8) && length > 0)?;
            self.read(start, length.min(SEARCHED_SIZE))
        };
        let Some(stack) = starts.into_iter().find_map(stack) else { return Callers::NONE };
        Callers::find(self.segments, stack, |address, length| self.read(address, length))
    }

    /// Reads a range of the module. An empty range is readable at any address.
    fn read(&self, address: u64, length: u64) -> Option<&'module [u8]> {
        if length == 0 { Some(&[]) } else { (self.bytes)(address, length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::ImageSize;

    const BASE: u64 = 0x10_0000;
    const TOP: u64 = 0x8_0000;

    /// Returns a memory that holds a text of eight bytes and nothing else.
    fn memory(text: &'static [u8; 8]) -> Memory<'static, impl Fn(u64, u64) -> Option<&'static [u8]>> {
        static SEGMENTS: Segments = Segments {
            base: BASE,
            size: ImageSize { text_bytes: 8, rodata_bytes: 0, data_bytes: 0, alignment: 16 },
            heap_bytes: 0,
        };
        let bytes = move |address: u64, length: u64| {
            let start = address.checked_sub(BASE).and_then(|start| usize::try_from(start).ok())?;
            text.get(start..start.checked_add(usize::try_from(length).ok()?)?)
        };
        Memory { segments: &SEGMENTS, stack_top: TOP, bytes }
    }

    fn registers(values: &[(usize, u64)]) -> [u64; REGISTER_NAMES.len()] {
        let mut registers = [0; REGISTER_NAMES.len()];
        values.iter().for_each(|&(index, value)| registers[index] = value);
        registers
    }

    #[test]
    fn knows_the_instructions_of_a_modules_own_end() {
        for (text, kind) in [
            (b"\x0f\xb9\x40\x62oops", FaultKind::Panic),
            (b"\x0f\xb9\x40\x68oops", FaultKind::HeapBudget),
            (b"\x0f\x0b\x40\x62oops", FaultKind::InvalidOpcode),
        ] {
            assert_eq!(memory(text).kind_of_invalid_opcode(BASE), kind);
            // Not all four bytes of the instruction are text.
            assert_eq!(memory(text).kind_of_invalid_opcode(BASE + 5), FaultKind::InvalidOpcode);
            assert_eq!(memory(text).kind_of_invalid_opcode(u64::MAX), FaultKind::InvalidOpcode);
        }
    }

    #[test]
    fn reads_a_panic_and_no_byte_that_is_not_the_modules() {
        let memory = memory(b"\x0f\xb9\x40\x62oops");
        let fault = Fault { kind: FaultKind::Panic, offset: Some(2), address: None };
        let named = registers(&[(RDI, BASE + 4), (RSI, 4), (RDX, 7), (RCX, u64::MAX), (R8, 12), (RSP, TOP - 8)]);
        let found = memory.diagnose(&fault, named, ServiceLog::EMPTY);
        assert_eq!(found.code(), b"\x40\x62oops");
        let panic = found.panic.unwrap();
        assert_eq!((panic.message.bytes(), panic.file.bytes(), panic.line), (&b"oops"[..], UNREADABLE, 12));
        assert!(panic.file.is_cut() && !panic.message.is_cut());
        // An empty text needs no address.
        let empty = memory.diagnose(&fault, registers(&[]), ServiceLog::EMPTY).panic.unwrap();
        assert_eq!(empty.message.bytes(), b"");
    }

    #[test]
    fn believes_a_heap_request_that_is_said_twice() {
        let memory = memory(b"\x0f\xb9\x40\x68oops");
        let fault = Fault { kind: FaultKind::HeapBudget, offset: None, address: None };
        let request = |values: &[(usize, u64)]| {
            let found = memory.diagnose(&fault, registers(values), ServiceLog::EMPTY);
            assert_eq!(found.code(), b"");
            found.heap_request
        };
        assert_eq!(request(&[(RDI, 4096), (RSI, !4096)]), Some(4096));
        assert_eq!(request(&[(RDI, 4096), (RSI, 1)]), None);
    }
}
