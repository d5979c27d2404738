//! Calls of other functions.

use cranelift_codegen::ir::{ExtFuncData, ExternalName, FuncRef, InstBuilder, SigRef, Signature, Value};

use super::Emitter;
use crate::routines::Routine;
use crate::signatures::{signature_of, signature_of_routine};
use crate::symbols::Symbol;

impl Emitter<'_, '_> {
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
        let signature = signature_of(&self.environment.module.sections.types[index as usize]);
        let reference = self.builder.import_signature(signature);
        self.signatures.insert(index, reference);
        reference
    }

    /// Calls a routine of the runtime. Returns its result, if it has one.
    pub fn call_routine(&mut self, routine: Routine, arguments: &[Value]) -> Option<Value> {
        let reference = self.function(Symbol::Runtime(routine), || signature_of_routine(routine));
        let call = self.builder.ins().call(reference, arguments);
        self.builder.inst_results(call).first().copied()
    }
}
