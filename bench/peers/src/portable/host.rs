//! The imports of portable modules, for the engines of others: input and output, as docs/portable.md has them.
//!
//! The modules that are compared call nothing else; what they import besides is a trap.

use bareflow_abi::portable::IMPORT_MODULE;

use super::engines::OUTPUT;

/// The host's side of a call.
pub struct Host<Memory> {
    /// The module's memory, once there is an instance.
    pub memory: Option<Memory>,
    /// The bytes that the module may read.
    pub input: Vec<u8>,
    /// The bytes that it wrote.
    pub output: Vec<u8>,
}

impl<Memory> Host<Memory> {
    fn new(input: &[u8]) -> Host<Memory> {
        Host { memory: None, input: input.to_vec(), output: Vec::with_capacity(OUTPUT) }
    }
}

/// Returns the bytes that a range of memory has.
fn range(memory: &mut [u8], start: u32, length: u32) -> Option<&mut [u8]> {
    memory.get_mut(start as usize..(start as usize).checked_add(length as usize)?)
}

/// Copies from the input to memory. Returns how many bytes.
fn read(memory: &mut [u8], input: &[u8], offset: u32, to: u32, length: u32) -> Option<u32> {
    let rest = input.get(offset as usize..).unwrap_or_default();
    let to = range(memory, to, length)?;
    let count = rest.len().min(to.len());
    to[..count].copy_from_slice(&rest[..count]);
    Some(count as u32)
}

/// Appends from memory to the output. Returns how many bytes there was room for.
fn write(memory: &mut [u8], output: &mut Vec<u8>, from: u32, length: u32) -> Option<u32> {
    let bytes = range(memory, from, length)?;
    let count = bytes.len().min(OUTPUT - output.len());
    output.extend_from_slice(&bytes[..count]);
    Some(count as u32)
}

/// The imports for one engine: those of wasmtime and wasmi have the same names.
macro_rules! imports {
    ($engine:ident, $instantiate:ident, $failed:ident) => {
        /// A module's instance.
        pub mod $engine {
            use $engine::{Caller, Engine, Error, Extern, Linker, Memory, Module, Store, TypedFunc};

            use super::IMPORT_MODULE;
            use crate::peers::BoxError;

            type Host = super::Host<Memory>;

            /// A module's instance, and the function that is called.
            pub struct Instance(Store<Host>, TypedFunc<u32, i32>);

            fn memory<'call>(call: &'call mut Caller<'_, Host>) -> Result<(&'call mut [u8], &'call mut Host), Error> {
                let memory = call.data().memory.ok_or_else(|| Error::$failed("no memory"))?;
                Ok(memory.data_and_store_mut(call))
            }

            fn linker(engine: &Engine) -> Result<Linker<Host>, BoxError> {
                let mut linker = Linker::new(engine);
                linker.func_wrap(IMPORT_MODULE, "input_length", |call: Caller<'_, Host>| {
                    call.data().input.len() as u32
                })?;
                let read = |mut call: Caller<'_, Host>, offset: u32, to: u32, length: u32| -> Result<u32, Error> {
                    let (memory, host) = memory(&mut call)?;
                    super::read(memory, &host.input, offset, to, length).ok_or_else(|| Error::$failed("out of bounds"))
                };
                linker.func_wrap(IMPORT_MODULE, "input_read", read)?;
                let write = |mut call: Caller<'_, Host>, from: u32, length: u32| -> Result<u32, Error> {
                    let (memory, host) = memory(&mut call)?;
                    super::write(memory, &mut host.output, from, length).ok_or_else(|| Error::$failed("out of bounds"))
                };
                linker.func_wrap(IMPORT_MODULE, "output_write", write)?;
                let panic =
                    |_: u32, _: u32, _: u32, _: u32, _: u32| -> Result<(), Error> { Err(Error::$failed("a panic")) };
                linker.func_wrap(IMPORT_MODULE, "panic", panic)?;
                linker.func_wrap(IMPORT_MODULE, "out_of_heap", || -> Result<(), Error> {
                    Err(Error::$failed("no heap left"))
                })?;
                Ok(linker)
            }

            impl Instance {
                /// Makes an instance.
                pub fn new(engine: &Engine, module: &Module, input: &[u8]) -> Result<Instance, BoxError> {
                    let mut store = Store::new(engine, Host::new(input));
                    let instance = linker(engine)?.$instantiate(&mut store, module)?;
                    let memory = instance.get_export(&mut store, bareflow_abi::portable::MEMORY);
                    store.data_mut().memory = memory.and_then(Extern::into_memory);
                    let entry = instance.get_typed_func(&mut store, bareflow_abi::portable::ENTRY)?;
                    Ok(Instance(store, entry))
                }

                /// Calls the module to run.
                pub fn run(&mut self) -> Result<i32, BoxError> {
                    self.0.data_mut().output.clear();
                    Ok(self.1.call(&mut self.0, bareflow_abi::Reason::Run as u32)?)
                }

                /// Returns what the last call wrote.
                pub fn output(&self) -> &[u8] {
                    &self.0.data().output
                }
            }
        }
    };
}

imports!(wasmtime, instantiate, msg);
imports!(wasmi, instantiate_and_start, new);
