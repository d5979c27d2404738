//! The instance of a program in wasmi.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use bareflow_abi::traps::TrapKind;
use bareflow_abi::{CallError, Context, Reason};
use bareflow_portable::imports::Import;
use bareflow_portable::program::{HAS_MEMORY, Program, WANTS_INIT, exports};
use wasmi::{CompilationMode, Config, Engine, Error, Extern, Instance, Module, Store, Table, TypedFunc};

use crate::carry;
use crate::fault::Fault;
use crate::host::Host;
use crate::imports::function;
use crate::memory::Room;

/// The most calls that may be nested.
const MAX_DEPTH: usize = 4096;

/// The most memory that the values of nested calls may take, in bytes.
const MAX_STACK_BYTES: usize = 512 << 10;

/// The program that the runner runs, and where.
#[derive(Debug)]
pub struct Place {
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
    functions: Functions,
    parts: Parts,
    program: Program<'static>,
    bytes: &'static mut [u8],
    instance: Instance,
    /// Whether the bytes are those of an instance that is to be taken over.
    carried: bool,
}

/// The parts of an instance that are carried.
#[derive(Debug)]
pub struct Parts {
    /// The globals.
    pub globals: Vec<wasmi::Global>,
    /// The tables.
    pub tables: Vec<Table>,
    /// The table of functions that the engine added.
    pub functions: Option<Table>,
}

/// The functions that a module's entry calls.
#[derive(Clone, Copy, Debug)]
enum Functions {
    /// One for all reasons.
    Entry(TypedFunc<i32, i32>),
    /// One for each.
    Each { run: Option<TypedFunc<(), i32>>, init: Option<TypedFunc<(), i32>>, exit: Option<TypedFunc<(), i32>> },
}

impl Machine {
    /// Makes the instance, with which nothing has been done yet: [`begin`](Self::begin) comes next.
    ///
    /// # Safety
    /// The program's module is valid.
    ///
    /// # Errors
    /// The fault in which making it ends.
    pub unsafe fn new(place: Place) -> Result<Machine, Fault> {
        let Place { program, instance: bytes, room } = place;
        let mut config = Config::default();
        config.compilation_mode(CompilationMode::Lazy).ignore_custom_sections(true);
        config.set_max_recursion_depth(MAX_DEPTH).set_max_stack_height(MAX_STACK_BYTES);
        let engine = Engine::new(&config);
        // SAFETY: as the caller promises.
        let module = unsafe { Module::new_unchecked(&engine, program.wasm) }?;
        let mut store = Store::new(&engine, Host::new(program.bindings));
        let carried = carry::is_carried(bytes);
        let mut externs = Vec::new();
        for number in program.imports.iter() {
            let import = Import::from_number(number).ok_or_else(|| missing("import", number))?;
            externs.push(Extern::Func(function(&mut store, import)));
        }
        if program.numbers.settings & HAS_MEMORY != 0 {
            let memory = match carried {
                true => room.kept(&mut store, carry::pages(bytes))?,
                false => room.zeroed(&mut store, program.numbers.minimum_pages)?,
            };
            store.data_mut().memory = Some(memory);
            externs.push(Extern::Memory(memory));
        }
        let instance = Instance::new(&mut store, &module, &externs)?;
        let parts = Parts::of(&store, instance, &program)?;
        let functions = Functions::of(&store, instance)?;
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
            let kind = TrapKind::ALL.get(trap as usize).copied().ok_or_else(|| missing("trap", trap))?;
            return Err(Fault::Trap(kind));
        }
        carry::fill_tables(&mut self.store, &self.parts, &self.program)?;
        if let Some(memory) = self.store.data().memory {
            let (mut segments, mut bytes) = (self.program.data.iter(), self.program.data_bytes);
            while let (Some(address), Some(size)) = (segments.next(), segments.next()) {
                let (segment, rest) =
                    bytes.split_at_checked(size as usize).ok_or_else(|| missing("data at", address))?;
                memory.write(&mut self.store, address as usize, segment).map_err(Error::from)?;
                bytes = rest;
            }
        }
        if let Some(start) = self.instance.get_func(&self.store, exports::START) {
            self.store.data_mut().begin(context, Reason::Init as u32);
            let result = start.call(&mut self.store, &[], &mut []);
            self.store.data_mut().end();
            result?;
        }
        Ok(())
    }
}

/// Returns the fault of a program that lacks something: the engine that made it is not this runner's.
pub(crate) fn missing(what: &str, number: u32) -> Fault {
    Fault::Interpreter(format!("the attached program has no {what} {number}: its engine does not fit; build it anew"))
}

impl Parts {
    fn of(store: &Store<Host>, instance: Instance, program: &Program<'_>) -> Result<Parts, Fault> {
        let (mut globals, mut tables) = (Vec::new(), Vec::new());
        for number in 0..program.numbers.globals {
            let name = exports::GLOBAL.to_string() + &number.to_string();
            globals.push(instance.get_global(store, &name).ok_or_else(|| missing("global", number))?);
        }
        for number in 0..program.tables.count() as u32 {
            let name = exports::TABLE.to_string() + &number.to_string();
            tables.push(instance.get_table(store, &name).ok_or_else(|| missing("table", number))?);
        }
        Ok(Parts { globals, tables, functions: instance.get_table(store, exports::FUNCTIONS) })
    }
}

impl Functions {
    fn of(store: &Store<Host>, instance: Instance) -> Result<Functions, Fault> {
        if let Some(entry) = instance.get_func(store, exports::ENTRY) {
            return Ok(Functions::Entry(entry.typed(store)?));
        }
        let find = |name| instance.get_func(store, name).map(|function| function.typed(store)).transpose();
        Ok(Functions::Each { run: find(exports::RUN)?, init: find(exports::INIT)?, exit: find(exports::EXIT)? })
    }

    #[inline]
    fn call(&self, store: &mut Store<Host>, reason: u32) -> Result<i32, Error> {
        const RUN: u32 = Reason::Run as u32;
        const INIT: u32 = Reason::Init as u32;
        const EXIT: u32 = Reason::Exit as u32;
        let function = match (self, reason) {
            (Functions::Entry(entry), _) => return entry.call(store, reason as i32),
            (Functions::Each { run, .. }, RUN) => run,
            (Functions::Each { init, .. }, INIT) => init,
            (Functions::Each { exit, .. }, EXIT) => exit,
            (Functions::Each { .. }, _) => return Ok(-(CallError::NoSuchMethod as i32)),
        };
        function.map_or(Ok(0), |function| function.call(store, ()))
    }
}
