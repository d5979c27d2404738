//! A host for portable modules in an ordinary process: wasmi, and the imports as `docs/portable.md` describes them.
//!
//! The tests run the modules of this repository by it. It is no engine: nothing here is loaded into a kernel.

#![forbid(unsafe_code)]

mod arguments;
mod host;
mod imports;

use bareflow_abi::header::{FLAG_INIT, HEADER_SIZE, Header};
use bareflow_abi::interface::bindings::{Entries, Role, function_fingerprint};
use bareflow_abi::interface::{FIRST_FUNCTION, Shape, Status};
use bareflow_abi::portable::{ENTRIES, ENTRY, RUN, SECTION};
use bareflow_abi::{CallError, Reason};
use bareflow_packer::wasm::Wasm;
use wasmi::{Config, Engine, Linker, Module, Store};

pub use arguments::Argument;
pub use host::{Ending, Host, Provide, Reply};

/// A portable module with its instance.
pub struct Guest {
    store: Store<Host>,
    instance: wasmi::Instance,
    /// The header in its description, if it has one.
    pub header: Option<Header>,
    records: Vec<u8>,
}

/// The outcome of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The result.
    pub result: i32,
    /// The output.
    pub output: Vec<u8>,
}

impl Guest {
    /// Makes an instance, and initialises the module if it wants that.
    ///
    /// # Errors
    /// wasmi's reason, or the ending of the module's `init`.
    pub fn new(bytes: &[u8]) -> Result<Guest, String> {
        let mut guest = Guest::without_init(bytes)?;
        let wants_init = guest.header.is_some_and(|header| header.flags & FLAG_INIT != 0)
            || guest.instance.get_func(&guest.store, ENTRIES[1].0).is_some();
        match wants_init.then(|| guest.call(Reason::Init as u32, b"", 0)) {
            Some(Err(ending)) => Err(format!("{ending:?}")),
            Some(Ok(outcome)) if outcome.result != 0 => Err(format!("init returned {}", outcome.result)),
            _ => Ok(guest),
        }
    }

    /// Makes an instance.
    ///
    /// # Errors
    /// wasmi's reason.
    pub fn without_init(bytes: &[u8]) -> Result<Guest, String> {
        let mut config = Config::default();
        // What docs/portable.md promises, and no more.
        config.wasm_tail_call(false).wasm_extended_const(false).wasm_multi_memory(false);
        let engine = Engine::new(&config);
        let module = Module::new(&engine, bytes).map_err(|error| error.to_string())?;
        let wasm = Wasm::read(bytes).map_err(|error| error.to_string())?;
        let (header, records) =
            wasm.custom(SECTION).unwrap_or_default().split_at_checked(HEADER_SIZE).unwrap_or_default();
        let header = header.first_chunk().map(Header::from_bytes);
        let mut linker = Linker::new(&engine);
        imports::define(&mut linker).map_err(|error| error.to_string())?;
        let mut store = Store::new(&engine, Host::new(imported_shapes(records)));
        let instance = linker.instantiate_and_start(&mut store, &module).map_err(|error| error.to_string())?;
        Ok(Guest { store, instance, header, records: records.to_vec() })
    }

    /// Returns the host's side, for what it is to answer and what was logged.
    pub fn host(&mut self) -> &mut Host {
        self.store.data_mut()
    }

    /// Returns the pages of the memory.
    pub fn pages(&self) -> u64 {
        self.instance.get_memory(&self.store, "memory").map_or(0, |memory| memory.size(&self.store))
    }

    /// Calls the module to run, with room for as much output as a client has.
    ///
    /// # Errors
    /// As for [`call`](Self::call).
    pub fn run(&mut self, input: &[u8]) -> Result<Outcome, Ending> {
        self.call(Reason::Run as u32, input, 256 << 10)
    }

    /// Calls the module for a reason.
    ///
    /// # Errors
    /// The ending of a call that did not return.
    pub fn call(&mut self, reason: u32, input: &[u8], room: usize) -> Result<Outcome, Ending> {
        self.store.data_mut().begin(input, room, Vec::new());
        let result = self.enter(reason)?;
        Ok(Outcome { result, output: self.store.data_mut().take_output() })
    }

    /// Calls an exported function without an interface.
    ///
    /// # Errors
    /// As for [`call`](Self::call). A function that is not there has no result.
    pub fn call_function(&mut self, number: u32, input: &[u8]) -> Result<Outcome, Ending> {
        self.call(FIRST_FUNCTION + number, input, 256 << 10)
    }

    /// Returns the number of an exported function without an interface.
    pub fn function_number(&self, name: &str) -> Option<u32> {
        let mut first = 0;
        for entry in Entries::new(bindings(&self.records)).filter(|entry| entry.role == Role::Export) {
            let of_this = entry.methods().position(|method| method.fingerprint == function_fingerprint(name));
            if let Some(number) = of_this.filter(|_| entry.interface.is_empty()) {
                return Some(first + number as u32);
            }
            first += entry.method_count() as u32;
        }
        None
    }

    /// Calls a method of an exported interface.
    pub fn call_method(&mut self, interface: &str, method: u32, arguments: &mut Vec<Argument>) -> Reply {
        let Some((number, shape)) = exported_method(&self.records, interface, method) else {
            return Status::Failed(CallError::NoSuchMethod).into();
        };
        self.store.data_mut().begin(&arguments::words(arguments), shape.reply_words() * 8, core::mem::take(arguments));
        let entered = self.enter(FIRST_FUNCTION + number);
        let host = self.store.data_mut();
        *arguments = host.take_arguments();
        let output = host.take_output();
        let Ok(result) = entered else { return Status::Failed(CallError::Faulted).into() };
        let mut words = output.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
        let value = words.next().unwrap_or_default();
        arguments::note_appended(arguments, words);
        Reply { status: Status::of_entry(result).number(), value }
    }

    fn enter(&mut self, reason: u32) -> Result<i32, Ending> {
        let by_name = |name: &str| self.instance.get_typed_func::<(), i32>(&self.store, name).ok();
        let said = match self.instance.get_typed_func::<u32, i32>(&self.store, ENTRY) {
            Ok(entry) => entry.call(&mut self.store, reason),
            Err(_) => {
                let names = [RUN, ENTRIES[1].0, ENTRIES[2].0];
                let Some(function) = names.get(reason as usize).and_then(|name| by_name(name)) else {
                    return Err(Ending::Trap(format!("nothing to call for reason {reason}")));
                };
                function.call(&mut self.store, ())
            }
        };
        said.map_err(|error| self.store.data_mut().ending.take().unwrap_or_else(|| Ending::Trap(error.to_string())))
    }
}

/// Returns the interfaces of the imports, each with the shapes of its methods.
fn imported_shapes(records: &[u8]) -> Vec<(String, Vec<Shape>)> {
    let entries = Entries::new(bindings(records));
    entries
        .imports()
        .map(|entry| (entry.interface.to_owned(), entry.methods().map(|method| method.shape).collect()))
        .collect()
}

/// Returns the number of an exported method among all functions, and its shape.
fn exported_method(records: &[u8], interface: &str, method: u32) -> Option<(u32, Shape)> {
    let mut first = 0;
    for entry in Entries::new(bindings(records)).filter(|entry| entry.role == Role::Export) {
        if entry.interface == interface {
            return Some((first + method, entry.method(method as usize)?.shape));
        }
        first += entry.method_count() as u32;
    }
    None
}

/// Returns the record of bindings.
fn bindings(records: &[u8]) -> &[u8] {
    let mut rest = records;
    while let Some((head, behind)) = rest.split_first_chunk::<8>() {
        let [kind, length] = [0, 4].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
        let Some((bytes, behind)) = behind.split_at_checked(length as usize) else { break };
        if kind == bareflow_abi::record::BINDINGS {
            return bytes;
        }
        rest = behind;
    }
    &[]
}
