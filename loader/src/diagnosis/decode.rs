//! From registers and memory to a [`Diagnosis`]: what a module's own end says, and its code where a fault happened.
//!
//! The registers are the module's word. Each range they name is asked for before it is read, so what is none of the
//! module's own bytes is never looked at.

use bareflow_abi::trap_codes::{HEAP_INSTRUCTION, PANIC_INSTRUCTION};

use super::callers::SEARCHED_SIZE;
use super::{CODE_SIZE, Callers, Diagnosis, MESSAGE_SIZE, PanicMessage, REGISTER_NAMES, ServiceLog, Text};
use crate::fault::{Fault, FaultKind};
use crate::segments::Segments;

/// Registers by their places in [`REGISTER_NAMES`].
const RCX: usize = 4;
const RDX: usize = 5;
const RSI: usize = 6;
const RDI: usize = 7;
const RSP: usize = 9;
const R8: usize = 10;
const R9: usize = 11;

/// What stands for a text that is not the module's.
const UNREADABLE: &[u8] = b"(unreadable)";

/// A module's memory, as whoever handles its faults sees it.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'image, Bytes> {
    /// Its segments.
    pub segments: &'image Segments,
    /// The address behind its stack's last byte, as the module sees it.
    pub stack_top: u64,
    /// Hands out `length` bytes from `address` on, as the module sees them; `None` where not all of them are the module's: in
    /// its segments, its heap, its stack, its input or its output.
    pub bytes: Bytes,
}

impl<'module, Bytes: Fn(u64, u64) -> Option<&'module [u8]>> Memory<'_, Bytes> {
    /// Returns what an invalid instruction at `rip` is: a panic, a heap that is used up, or just that. Both are
    /// instructions of the module's own (`bareflow_abi::trap_codes`), and must lie in its text.
    #[must_use]
    pub fn kind_of_invalid_opcode(&self, rip: u64) -> FaultKind {
        let length = PANIC_INSTRUCTION.len() as u64;
        match self.read(rip, length).filter(|_| self.segments.is_text(rip, length)) {
            Some(code) if code == PANIC_INSTRUCTION => FaultKind::Panic,
            Some(code) if code == HEAP_INSTRUCTION => FaultKind::HeapBudget,
            _ => FaultKind::InvalidOpcode,
        }
    }

    /// Returns what is to be known of `fault`, which left the registers as [`REGISTER_NAMES`] lists them, after these
    /// calls of services. Nothing but `function` is left open, which the loader fills in.
    #[must_use]
    pub fn diagnose(&self, fault: &Fault, registers: [u64; REGISTER_NAMES.len()], services: ServiceLog) -> Diagnosis {
        let mut code = [0; CODE_SIZE];
        let found = fault.offset.map_or(&[][..], |offset| self.code_at(self.segments.base.wrapping_add(offset)));
        code.iter_mut().zip(found).for_each(|(place, byte)| *place = *byte);
        let panic = (fault.kind == FaultKind::Panic).then(|| PanicMessage {
            message: self.text(registers[RDI], registers[RSI]),
            file: self.text(registers[RDX], registers[RCX]),
            line: registers[R8] as u32,
        });
        let (asked, complement) = (registers[RDI], registers[RSI]);
        // A module built before it said so has something else there.
        let heap_request = (fault.kind == FaultKind::HeapBudget && asked == !complement).then_some(asked);
        let is_own_word = fault.kind.is_modules_own_word();
        let callers = if is_own_word { self.callers([registers[R9], registers[RSP]]) } else { Callers::NONE };
        Diagnosis { registers, code, code_length: found.len(), services, panic, heap_request, callers, function: None }
    }

    /// Bytes of text from `start` on, as many as a diagnosis keeps.
    fn code_at(&self, start: u64) -> &'module [u8] {
        let is_text = |&index: &u64| self.segments.is_text(start.wrapping_add(index), 1);
        let length = (0..CODE_SIZE as u64).take_while(is_text).count();
        self.read(start, length as u64).unwrap_or_default()
    }

    fn text(&self, address: u64, length: u64) -> Text {
        let shown = length.min(MESSAGE_SIZE as u64);
        Text::new(self.read(address, shown).unwrap_or(UNREADABLE)).cut(length > shown)
    }

    /// The return addresses on the stack, from the first of two addresses on that lies there.
    fn callers(&self, starts: [u64; 2]) -> Callers {
        let stack = |start: u64| {
            let length = self.stack_top.checked_sub(start).filter(|&length| start.is_multiple_of(8) && length > 0)?;
            self.read(start, length.min(SEARCHED_SIZE))
        };
        let Some(stack) = starts.into_iter().find_map(stack) else { return Callers::NONE };
        Callers::find(self.segments, stack, |address, length| self.read(address, length))
    }

    /// No bytes are always there, wherever a module says.
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

    /// Text of eight bytes, and the sixteen bytes of stack below `TOP`.
    fn memory(text: &'static [u8; 8]) -> Memory<'static, impl Fn(u64, u64) -> Option<&'static [u8]>> {
        static SEGMENTS: Segments =
            Segments { base: BASE, size: ImageSize { text: 8, rodata: 0, data: 0, alignment: 16 }, heap: 0 };
        let bytes = move |address: u64, length: u64| {
            let start = address.checked_sub(BASE).and_then(|start| usize::try_from(start).ok())?;
            text.get(start..start.checked_add(usize::try_from(length).ok()?)?)
        };
        Memory { segments: &SEGMENTS, stack_top: TOP, bytes }
    }

    fn registers(values: &[(usize, u64)]) -> [u64; REGISTER_NAMES.len()] {
        let mut registers = [0; REGISTER_NAMES.len()];
        values.iter().for_each(|&(place, value)| registers[place] = value);
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
            // Not all four bytes of it are text.
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
