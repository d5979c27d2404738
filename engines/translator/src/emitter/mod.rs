//! A function that is being built, and what all code uses.
//!
//! ```text
//! address.rs    the addresses of code and data
//! call.rs       calls of other functions
//! ```

mod address;
mod call;

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;

use bareflow_portable::state::MEMORY_BYTES;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{
    AliasRegion, AliasRegionData, Block, FuncRef, Inst, InstBuilder, MemFlagsData, SigRef, TrapCode, Value,
};
use cranelift_frontend::FunctionBuilder;

use crate::module::Module;
use crate::options::Options;
use crate::plan::Plan;
use crate::symbols::Symbol;

/// All that a function's code depends on besides its body.
#[derive(Clone, Copy)]
pub(crate) struct Environment<'module> {
    pub module: &'module Module<'module>,
    pub plan: &'module Plan<'module>,
    pub options: &'module Options,
}

/// Memory whose accesses do not concern each other.
#[derive(Clone, Copy)]
pub(crate) struct Regions {
    /// The words of the context.
    context: AliasRegion,
    /// Globals, tables and marks of dropped segments.
    state: AliasRegion,
    /// Linear memory.
    pub memory: AliasRegion,
}

/// A function that is being built.
pub(crate) struct Emitter<'module, 'function> {
    pub environment: Environment<'module>,
    pub builder: FunctionBuilder<'function>,
    pub regions: Regions,
    entry: Block,
    /// The last instruction at the function's start that computes an address.
    preamble: Option<Inst>,
    data: Option<Value>,
    rodata: Option<Value>,
    memory: Option<Value>,
    functions: BTreeMap<Symbol, FuncRef>,
    signatures: BTreeMap<u32, SigRef>,
}

impl<'module, 'function> Emitter<'module, 'function> {
    /// Starts the function whose signature `builder` has.
    pub fn new(
        environment: Environment<'module>,
        mut builder: FunctionBuilder<'function>,
    ) -> Emitter<'module, 'function> {
        let mut region = |user_id, description| {
            let description = Cow::Borrowed(description);
            builder.func.dfg.alias_regions.insert(AliasRegionData { user_id, description })
        };
        let regions = Regions { context: region(0, "context"), state: region(1, "state"), memory: region(2, "memory") };
        let entry = builder.create_block();
        builder.append_block_params_for_function_params(entry);
        builder.switch_to_block(entry);
        builder.seal_block(entry);
        builder.ensure_inserted_block();
        Emitter {
            environment,
            builder,
            regions,
            entry,
            preamble: None,
            data: None,
            rodata: None,
            memory: None,
            functions: BTreeMap::new(),
            signatures: BTreeMap::new(),
        }
    }

    /// Returns the function's parameter with this number.
    pub fn parameter(&self, number: usize) -> Value {
        self.builder.block_params(self.entry)[number]
    }

    /// Returns the flags of accesses to the context's words.
    pub fn context_flags(&self) -> MemFlagsData {
        MemFlagsData::trusted().with_alias_region(Some(self.regions.context))
    }

    /// Returns the flags of accesses to the carried area.
    pub fn state_flags(&self) -> MemFlagsData {
        MemFlagsData::trusted().with_alias_region(Some(self.regions.state))
    }

    /// Returns the flags of accesses to memory that certainly is there.
    pub fn memory_flags(&self) -> MemFlagsData {
        MemFlagsData::new().with_trap_code(None).with_alias_region(Some(self.regions.memory))
    }

    /// Loads a word of the context.
    pub fn context_word(&mut self, offset: u32) -> Value {
        let (data, flags) = (self.data(), self.context_flags());
        self.builder.ins().load(I64, flags, data, offset.cast_signed())
    }

    /// Returns the memory's length in bytes: a constant if it can't grow.
    pub fn memory_bytes(&mut self) -> Value {
        match self.environment.plan.fixed_memory_bytes() {
            Some(bytes) => self.builder.ins().iconst(I64, bytes.cast_signed()),
            None => self.context_word(MEMORY_BYTES),
        }
    }

    /// Traps if the condition is true.
    pub fn trap_if(&mut self, condition: Value, code: TrapCode) {
        self.builder.ins().trapnz(condition, code);
    }

    /// Returns `value`, or 0 where a processor guesses past the check that it is not `outside`, if the code has that guard.
    pub fn guarded(&mut self, outside: Value, value: Value) -> Value {
        if !self.environment.options.spectre_guard {
            return value;
        }
        let value_type = self.builder.func.dfg.value_type(value);
        let zero = self.builder.ins().iconst(value_type, 0);
        self.builder.ins().select_spectre_guard(outside, zero, value)
    }

    /// Extends a 32-bit number without a sign.
    pub fn extend(&mut self, value: Value) -> Value {
        self.builder.ins().uextend(I64, value)
    }
}
