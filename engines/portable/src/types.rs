//! The types of functions, as the validator has them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use wasmparser::{FuncType, TypeRef, ValType, WasmFeatures};

use crate::imports::{Import, MODULE, ValueType};

/// The features that portable modules may use: WebAssembly 2.0 without SIMD.
pub const FEATURES: WasmFeatures = WasmFeatures::WASM2.difference(WasmFeatures::SIMD);

/// Returns whether a function takes and returns these numbers.
#[must_use]
pub fn is_of(function: &FuncType, parameters: &[ValueType], results: &[ValueType]) -> bool {
    let same = |types: &[ValType], numbers: &[ValueType]| types.iter().copied().eq(numbers.iter().map(to_wasm));
    same(function.params(), parameters) && same(function.results(), results)
}

fn to_wasm(number: &ValueType) -> ValType {
    match number {
        ValueType::I32 => ValType::I32,
        ValueType::I64 => ValType::I64,
    }
}

/// Returns the function that a module with these types imports, and the number of its type.
///
/// # Errors
/// A description of why no engine provides it.
pub fn imported(import: &wasmparser::Import<'_>, types: &[FuncType]) -> Result<(Import, u32), String> {
    let (from, name) = (import.module, import.name);
    let TypeRef::Func(number) = import.ty else {
        return Err(format!(
            "the import {name:?} from {from:?} is no function; only functions of the module {MODULE:?} can be imported"
        ));
    };
    let Some(known) = Import::by_name(name).filter(|_| from == MODULE) else {
        let known: Vec<_> = Import::ALL.iter().map(|import| import.name()).collect();
        return Err(format!("the import {name:?} from {from:?} is unknown; {MODULE:?} has {}", known.join(", ")));
    };
    let found = types.get(number as usize);
    if found.is_some_and(|found| is_of(found, known.parameters(), known.results())) {
        return Ok((known, number));
    }
    let found = found.map_or_else(|| "no type".into(), |found| format!("the type {found}"));
    let (parameters, results) = (known.parameters(), known.results());
    Err(format!("the import {name:?} has {found}, expected {parameters:?} -> {results:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import<'name>(module: &'name str, name: &'name str, ty: TypeRef) -> wasmparser::Import<'name> {
        wasmparser::Import { module, name, ty }
    }

    #[test]
    fn takes_functions_of_their_own_types_only() {
        let types = [FuncType::new([], [ValType::I64]), FuncType::new([ValType::I32], [])];
        assert_eq!(imported(&import(MODULE, "clock", TypeRef::Func(0)), &types), Ok((Import::Clock, 0)));
        let cases = [
            (MODULE, "clock", 1, "expected [] -> [I64]"),
            (MODULE, "log", 1, "expected [I32, I32] -> []"),
            (MODULE, "clock", 7, "has no type"),
            (MODULE, "fd_write", 0, "is unknown; \"bareflow\" has input_length, "),
            ("env", "clock", 0, "from \"env\" is unknown"),
        ];
        for (module, name, number, part) in cases {
            let error = imported(&import(module, name, TypeRef::Func(number)), &types).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let memory =
            wasmparser::MemoryType { memory64: false, shared: false, initial: 1, maximum: None, page_size_log2: None };
        let error = imported(&import(MODULE, "memory", TypeRef::Memory(memory)), &types).unwrap_err();
        assert!(error.contains("is no function"), "{error}");
    }
}
