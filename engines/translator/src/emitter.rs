//! A function that is being built, and what all code uses: addresses, calls of other functions, accesses to the context.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;

use bareflow_portable::state::{MEMORY_BASE, MEMORY_BYTES};
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::types::{F32, F64, I32, I64};
use cranelift_codegen::ir::{
    AbiParam, AliasRegion, AliasRegionData, Block, ExtFuncData, ExternalName, FuncRef, GlobalValueData, Inst,
    InstBuilder, MemFlagsData, SigRef, Signature, TrapCode, Type, Value,
};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::FunctionBuilder;
use wasmparser::{FuncType, ValType};

use crate::blob::Plan;
use crate::module::Module;
use crate::names::{Routine, Symbol};
use crate::options::Options;

/// The trap codes that Cranelift does not have; `code.rs` translates all.
pub(crate) const UNREACHABLE: TrapCode = TrapCode::unwrap_user(1);
pub(crate) const TABLE_OUT_OF_BOUNDS: TrapCode = TrapCode::unwrap_user(2);
pub(crate) const UNINITIALIZED_ELEMENT: TrapCode = TrapCode::unwrap_user(3);
pub(crate) const TYPE_MISMATCH: TrapCode = TrapCode::unwrap_user(4);

/// The calling convention of the module's functions.
pub(crate) const CONVENTION: CallConv = CallConv::Fast;

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

/// Returns the type of values of a type of WebAssembly. A reference is an element of a table.
pub(crate) fn type_of(value_type: ValType) -> Type {
    match value_type {
        ValType::I32 | ValType::Ref(_) => I32,
        ValType::I64 => I64,
        ValType::F32 => F32,
        ValType::F64 => F64,
        // The validator lets no vector through.
        ValType::V128 => cranelift_codegen::ir::types::I8X16,
    }
}

/// Returns the signature of functions of a type.
pub(crate) fn signature_of(function: &FuncType) -> Signature {
    let parameters = |types: &[ValType]| types.iter().map(|value| AbiParam::new(type_of(*value))).collect();
    Signature { params: parameters(function.params()), returns: parameters(function.results()), call_conv: CONVENTION }
}

/// Returns a signature.
pub(crate) fn signature(call_conv: CallConv, parameters: &[Type], results: &[Type]) -> Signature {
    let of = |types: &[Type]| types.iter().map(|value| AbiParam::new(*value)).collect();
    Signature { params: of(parameters), returns: of(results), call_conv }
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

    /// Returns a reference to another function, for a direct call.
    pub fn function(&mut self, symbol: Symbol, signature: impl FnOnce() -> Signature) -> FuncRef {
        if let Some(reference) = self.functions.get(&symbol) {
            return *reference;
        }
        let signature = self.builder.import_signature(signature());
        let name = self.builder.func.declare_imported_user_function(symbol.to_user());
        let name = ExternalName::user(name);
        let data = ExtFuncData { name, signature, colocated: true, patchable: false };
        let reference = self.builder.import_function(data);
        self.functions.insert(symbol, reference);
        reference
    }

    /// Returns a reference to a function of the module.
    pub fn module_function(&mut self, number: u32) -> FuncRef {
        let environment = self.environment;
        self.function(Symbol::Function(number), || signature_of(environment.module.type_of(number)))
    }

    /// Returns a reference to the signature of a type.
    pub fn type_signature(&mut self, index: u32) -> SigRef {
        if let Some(reference) = self.signatures.get(&index) {
            return *reference;
        }
        let signature = signature_of(&self.environment.module.types[index as usize]);
        let reference = self.builder.import_signature(signature);
        self.signatures.insert(index, reference);
        reference
    }

    /// Calls a routine of the runtime. Returns its result, if it has one.
    pub fn call_routine(&mut self, routine: Routine, arguments: &[Value]) -> Option<Value> {
        let reference = self.function(Symbol::Runtime(routine), || crate::runtime::signature_of(routine));
        let call = self.builder.ins().call(reference, arguments);
        self.builder.inst_results(call).first().copied()
    }

    /// Extends a 32-bit number without a sign.
    pub fn extend(&mut self, value: Value) -> Value {
        self.builder.ins().uextend(I64, value)
    }
}
