//! The instance of a program in wasmi.

use alloc::vec::Vec;

use bareflow_abi::traps::TrapKind;
use bareflow_abi::{Context, Reason};
use bareflow_portable::imports::Import;
use bareflow_portable::program::{HAS_MEMORY, Program, WANTS_INIT, exports};
use wasmi::{CompilationMode, Config, Engine, Extern, Instance, Module, Store};

use crate::exports::{EntryFunctions, Parts};
use crate::fault::Fault;
use crate::host::Host;
use crate::imports::function;
use crate::memory::Room;
use crate::{carry, segments};

/// The most calls that may be nested.
const MAX_DEPTH: usize = 4096;

/// The most memory that the values of nested calls may take, in bytes.
const MAX_STACK_BYTES: usize = 512 << 10;

/// The program that is attached to the runner, and where instance and memory lie.
#[derive(Debug)]
pub struct Attached {
    /// The program.
    pub program: Program<'static>,
    /// The bytes of the instance: words and carried area.
    pub instance: &'static mut [u8],
    /// The room for the linear memory.
    pub room: Room,
}

/// An instance that is made, and is called.
#[derive(Debug)]
pub struct Machine {
    store: Store<Host>,
    functions: EntryFunctions,
    parts: Parts,
    program: Program<'static>,
    bytes: &'static mut [u8],
    instance: Instance,
    /// Whether the bytes are those of an instance that is to be taken over.
    carried: bool,
}

impl Machine {
    /// Makes the instance, with which nothing has been done yet: [`begin`](Self::begin) comes next.
    ///
    /// # Safety
    /// The program's module is valid.
    ///
    /// # Errors
    /// The fault in which making it ends.
    pub unsafe fn new(attached: Attached) -> Result<Machine, Fault> {
        let Attached { program, instance: bytes, room } = attached;
        let mut config = Config::default();
        config.compilation_mode(CompilationMode::Lazy).ignore_custom_sections(true);
        config.set_max_recursion_depth(MAX_DEPTH).set_max_stack_height(MAX_STACK_BYTES);
        let engine = Engine::new(&config);
        // SAFETY: as the caller promises.
        let module = unsafe { Module::new_unchecked(&engine, program.wasm) }?;
        let mut store = Store::new(&engine, Host::new(program.bindings, room.mapped_bytes()));
        store.limiter(|host| host);
        let carried = carry::is_carried(bytes);
        let mut externs = Vec::new();
        for number in program.imports.iter() {
            let import = Import::from_number(number).ok_or_else(|| Fault::missing("import", number))?;
            externs.push(Extern::Func(function(&mut store, import)));
        }
        if program.numbers.settings & HAS_MEMORY != 0 {
            let memory = match carried {
                true => room.kept(&mut store, carry::memory_bytes(bytes))?,
                false => room.zeroed(&mut store, program.numbers.minimum_pages)?,
            };
            store.data_mut().memory = Some(memory);
            externs.push(Extern::Memory(memory));
        }
        let instance = Instance::new(&mut store, &module, &externs)?;
        let parts = Parts::of(&store, instance, &program)?;
        let functions = EntryFunctions::of(&store, instance)?;
        Ok(Machine { store, functions, parts, program, bytes, instance, carried })
    }

    /// Takes over the instance whose bytes are carried, or else fills tables and memory, and calls the start function.
    ///
    /// # Errors
    /// The fault in which that ends.
    pub fn begin(&mut self, context: &mut Context<'_>) -> Result<(), Fault> {
        match self.carried {
            true => carry::restore(&mut self.store, &self.parts, &self.program, self.bytes),
            false => self.start(context),
        }
    }

    /// Calls the module for a reason.
    ///
    /// # Errors
    /// The fault in which the call ends.
    #[inline]
    pub fn call(&mut self, context: &mut Context<'_>, reason: u32) -> Result<i32, Fault> {
        if reason == Reason::Carry as u32 {
            return carry::save(&mut self.store, &self.parts, &self.program, self.bytes).map(|()| 0);
        }
        let wants_init = self.program.numbers.settings & WANTS_INIT != 0;
        if reason == Reason::Init as u32 && !wants_init {
            return Ok(0);
        }
        self.store.data_mut().begin(context, reason);
        let result = self.functions.call(&mut self.store, reason);
        self.store.data_mut().end();
        Ok(result?)
    }

    /// Returns the address of the linear memory.
    pub fn memory_base(&self) -> u64 {
        self.store.data().memory.map_or(0, |memory| memory.data_ptr(&self.store).expose_provenance() as u64)
    }

    /// Fills tables and memory, and calls the start function.
    fn start(&mut self, context: &mut Context<'_>) -> Result<(), Fault> {
        if let Some(trap) = self.program.numbers.trap.checked_sub(1) {
            let kind = TrapKind::ALL.get(trap as usize).copied().ok_or_else(|| Fault::missing("trap", trap))?;
            return Err(Fault::Trap(kind));
        }
        segments::fill_tables(&mut self.store, &self.parts, &self.program)?;
        segments::fill_memory(&mut self.store, &self.program)?;
        if let Some(start) = self.instance.get_func(&self.store, exports::START) {
            self.store.data_mut().begin(context, Reason::Init as u32);
            let result = start.call(&mut self.store, &[], &mut []);
            self.store.data_mut().end();
            result?;
        }
        Ok(())
    }
}
