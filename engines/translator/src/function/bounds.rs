//! The checks that keep an access within memory.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::immediates::Offset32;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, InstructionData, MemFlagsData, Opcode, TrapCode, Value, ValueDef};
use wasmparser::MemArg;

use super::Translator;
use crate::options::Bounds;

impl Translator<'_, '_> {
    /// Takes an access' address and checks it. Returns how to access it: flags, address, offset.
    pub(super) fn address(&mut self, access: &MemArg, bytes: u32) -> (MemFlagsData, Value, Offset32) {
        let index = self.pop();
        match self.emit.environment.options.bounds {
            Bounds::Window => {
                let flags = MemFlagsData::new()
                    .with_trap_code(Some(TrapCode::HEAP_OUT_OF_BOUNDS))
                    .with_alias_region(Some(self.emit.regions.memory));
                let index = self.emit.extend(index);
                let (address, offset) = self.sum_of(index, access.offset);
                (flags, address, offset)
            }
            Bounds::Checked => {
                let flags = self.emit.memory_flags();
                let end = access.offset + u64::from(bytes);
                let outside = if self.is_surely_inside(index, end) { None } else { Some(self.is_outside(index, end)) };
                if let Some(outside) = outside {
                    self.emit.trap_if(outside, TrapCode::HEAP_OUT_OF_BOUNDS);
                }
                let index = self.emit.extend(index);
                let zero = self.emit.builder.ins().iconst(I64, 0);
                match outside.filter(|_| self.emit.environment.options.spectre_guard) {
                    None => {
                        let (address, offset) = self.sum_of(index, access.offset);
                        (flags, address, offset)
                    }
                    Some(outside) if end <= self.emit.environment.plan.initial_memory_bytes => {
                        // The access with the index 0 is inside.
                        let index = self.emit.builder.ins().select_spectre_guard(outside, zero, index);
                        let (address, offset) = self.sum_of(index, access.offset);
                        (flags, address, offset)
                    }
                    Some(outside) => {
                        let (address, offset) = self.sum_of(index, access.offset);
                        let whole = self.emit.builder.ins().iadd_imm_s(address, i64::from(offset));
                        (flags, self.emit.builder.ins().select_spectre_guard(outside, zero, whole), 0.into())
                    }
                }
            }
        }
    }

    /// Returns the address of the byte at `index`, of 64 bits, plus `offset`, as an address and a constant.
    fn sum_of(&mut self, index: Value, offset: u64) -> (Value, Offset32) {
        let base = self.emit.memory();
        let address = self.emit.builder.ins().iadd(base, index);
        match i32::try_from(offset) {
            Ok(offset) => (address, offset.into()),
            Err(_) => (self.emit.builder.ins().iadd_imm_s(address, offset.cast_signed()), 0.into()),
        }
    }

    /// Returns whether an access that ends `end` bytes after a constant index lies in the memory's first pages.
    fn is_surely_inside(&self, index: Value, end: u64) -> bool {
        let dfg = &self.emit.builder.func.dfg;
        let ValueDef::Result(inst, _) = dfg.value_def(index) else { return false };
        let InstructionData::UnaryImm { opcode: Opcode::Iconst, imm } = dfg.insts[inst] else { return false };
        let index = u64::from(imm.bits() as u32);
        index + end <= self.emit.environment.plan.initial_memory_bytes
    }

    /// Compares the index of an access that ends `end` bytes after it with the memory's length.
    fn is_outside(&mut self, index: Value, end: u64) -> Value {
        let plan = self.emit.environment.plan;
        if let Some(most) = plan.fixed_memory_bytes().and_then(|bytes| bytes.checked_sub(end)) {
            let most = most.min(u64::from(u32::MAX));
            return self.emit.builder.ins().icmp_imm_u(IntCC::UnsignedGreaterThan, index, most.cast_signed());
        }
        // Nothing is taken from the length: the one that an instance was carried with may be any, even below the first pages'.
        let (length, index) = (self.emit.memory_bytes(), self.emit.extend(index));
        let end = self.emit.builder.ins().iadd_imm_s(index, end.cast_signed());
        self.emit.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, length)
    }

    /// Checks that `length` bytes (or elements) from `start` on lie within `limit`. Numbers of 64 bits, of which the first
    /// two are below 2^32. Returns the length, which is 0 for a processor that guesses past the check.
    pub(super) fn check_range(&mut self, start: Value, length: Value, limit: Value, code: TrapCode) -> Value {
        let end = self.emit.builder.ins().iadd(start, length);
        let outside = self.emit.builder.ins().icmp(IntCC::UnsignedGreaterThan, end, limit);
        self.emit.trap_if(outside, code);
        self.emit.guarded(outside, length)
    }
}
