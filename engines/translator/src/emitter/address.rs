//! The addresses of code and data, computed at the function's start.

use bareflow_portable::state::MEMORY_BASE;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{ExternalName, GlobalValueData, InstBuilder, Value};

use super::Emitter;
use crate::symbols::Symbol;

impl Emitter<'_, '_> {
    /// Returns the address of the context and the carried area.
    pub fn data(&mut self) -> Value {
        if let Some(address) = self.data {
            return address;
        }
        let address = self.address_of(Symbol::Data);
        self.data = Some(address);
        address
    }

    /// Returns the address of the read-only data.
    pub fn rodata(&mut self) -> Value {
        if let Some(address) = self.rodata {
            return address;
        }
        let address = self.address_of(Symbol::Rodata);
        self.rodata = Some(address);
        address
    }

    /// Returns the address of linear memory, which never moves.
    pub fn memory(&mut self) -> Value {
        if let Some(address) = self.memory {
            return address;
        }
        let data = self.data();
        let flags = self.context_flags().with_readonly().with_can_move();
        let address = self.at_start(|ins| ins.ins().load(I64, flags, data, MEMORY_BASE.cast_signed()));
        self.memory = Some(address);
        address
    }

    fn address_of(&mut self, symbol: Symbol) -> Value {
        let name = self.builder.func.declare_imported_user_function(symbol.to_user());
        let name = ExternalName::user(name);
        let data = GlobalValueData::Symbol { name, offset: 0.into(), colocated: true, tls: false };
        let global = self.builder.func.create_global_value(data);
        self.at_start(|cursor| cursor.ins().symbol_value(I64, global))
    }

    /// Inserts an instruction at the function's start, after those inserted before.
    fn at_start(&mut self, emit: impl FnOnce(&mut FuncCursor<'_>) -> Value) -> Value {
        let cursor = FuncCursor::new(self.builder.func);
        let mut cursor = match self.preamble {
            Some(inst) => cursor.after_inst(inst),
            None => cursor.at_first_insertion_point(self.entry),
        };
        let value = emit(&mut cursor);
        self.preamble = self.builder.func.dfg.value_def(value).inst();
        value
    }
}
