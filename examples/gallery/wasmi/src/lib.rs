//! Runs a WebAssembly program.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use core::fmt::Write;

use bareflow_abi::Context;
use wasmi::{Engine, Error, Linker, Module, Store};

bareflow_abi::module!(run);

/// Calls the export `run` of a WebAssembly module.
///
/// The input is a number (4 bytes, little-endian) and the module. Returns the result for the number; -1 on an error,
/// and then writes the reason.
pub fn run(context: &mut Context<'_>) -> i32 {
    let Some((number, program)) = context.input().split_first_chunk::<4>() else { return -1 };
    match interpret(program, i32::from_le_bytes(*number)) {
        Ok(result) => result,
        Err(error) => write!(context, "{error}").map_or(-2, |()| -1),
    }
}

fn interpret(program: &[u8], number: i32) -> Result<i32, Error> {
    let engine = Engine::default();
    let module = Module::new(&engine, program)?;
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module)?;
    instance.get_typed_func::<i32, i32>(&store, "run")?.call(&mut store, number)
}
