//! The exports of an instance: the functions that the entry calls, and the parts that are carried.

use alloc::string::ToString;
use alloc::vec::Vec;

use bareflow_abi::{CallError, Reason};
use bareflow_portable::program::{Program, exports};
use wasmi::{Error, Global, Instance, Store, Table, TypedFunc};

use crate::fault::Fault;
use crate::host::Host;

/// The functions that a module's entry calls.
#[derive(Clone, Copy, Debug)]
pub enum EntryFunctions {
    /// One for all reasons.
    One(TypedFunc<i32, i32>),
    /// One for each.
    Each { run: Option<TypedFunc<(), i32>>, init: Option<TypedFunc<(), i32>>, exit: Option<TypedFunc<(), i32>> },
}

/// The parts of an instance that are carried.
#[derive(Debug)]
pub struct Parts {
    /// The globals.
    pub globals: Vec<Global>,
    /// The tables.
    pub tables: Vec<Table>,
    /// The table of functions that the engine added.
    pub functions: Option<Table>,
}

impl EntryFunctions {
    /// Finds the functions.
    ///
    /// # Errors
    /// If one has another type.
    pub fn of(store: &Store<Host>, instance: Instance) -> Result<EntryFunctions, Fault> {
        if let Some(entry) = instance.get_func(store, exports::ENTRY) {
            return Ok(EntryFunctions::One(entry.typed(store)?));
        }
        let find = |name| instance.get_func(store, name).map(|function| function.typed(store)).transpose();
        Ok(EntryFunctions::Each { run: find(exports::RUN)?, init: find(exports::INIT)?, exit: find(exports::EXIT)? })
    }

    /// Calls the function of a reason, if there is one.
    ///
    /// # Errors
    /// The error in which the call ends.
    #[inline]
    pub fn call(&self, store: &mut Store<Host>, reason: u32) -> Result<i32, Error> {
        const RUN: u32 = Reason::Run as u32;
        const INIT: u32 = Reason::Init as u32;
        const EXIT: u32 = Reason::Exit as u32;
        let function = match (self, reason) {
            (EntryFunctions::One(entry), _) => return entry.call(store, reason as i32),
            (EntryFunctions::Each { run, .. }, RUN) => run,
            (EntryFunctions::Each { init, .. }, INIT) => init,
            (EntryFunctions::Each { exit, .. }, EXIT) => exit,
            (EntryFunctions::Each { .. }, _) => return Ok(-(CallError::NoSuchMethod as i32)),
        };
        function.map_or(Ok(0), |function| function.call(store, ()))
    }
}

impl Parts {
    /// Finds the parts.
    ///
    /// # Errors
    /// If the instance lacks one.
    pub fn of(store: &Store<Host>, instance: Instance, program: &Program<'_>) -> Result<Parts, Fault> {
        let (mut globals, mut tables) = (Vec::new(), Vec::new());
        for number in 0..program.numbers.globals {
            let name = exports::GLOBAL.to_string() + &number.to_string();
            globals.push(instance.get_global(store, &name).ok_or_else(|| Fault::missing("global", number))?);
        }
        for number in 0..program.tables.count() as u32 {
            let name = exports::TABLE.to_string() + &number.to_string();
            tables.push(instance.get_table(store, &name).ok_or_else(|| Fault::missing("table", number))?);
        }
        Ok(Parts { globals, tables, functions: instance.get_table(store, exports::FUNCTIONS) })
    }
}
