//! References to functions: as elements of an instance's bytes, which are numbers, and as wasmi has them.

use alloc::vec::Vec;

use bareflow_portable::program::Program;
use wasmi::{Func, Nullable, Ref, RefType, Store, Table};

use crate::exports::Parts;
use crate::fault::Fault;
use crate::host::Host;

/// Returns the reference that an element is: the function's number plus one, or 0 for null.
///
/// # Errors
/// If the instance lacks the function.
pub fn reference(
    store: &Store<Host>,
    parts: &Parts,
    program: &Program<'_>,
    kind: RefType,
    element: u32,
) -> Result<Ref, Fault> {
    let (RefType::Func, Some(number)) = (kind, element.checked_sub(1)) else { return Ok(Ref::null(kind)) };
    let place = program.functions.position(number).ok_or_else(|| Fault::missing("function", number))?;
    let functions = parts.functions.ok_or_else(|| Fault::missing("function", number))?;
    functions.get(store, place as u64).ok_or_else(|| Fault::missing("function", number))
}

/// Returns a function of the droppable segments, by its place among these.
///
/// # Errors
/// If the instance lacks it.
pub fn segment_function(store: &Store<Host>, parts: &Parts, program: &Program<'_>, place: u32) -> Result<Func, Fault> {
    let index = program.functions.count() as u64 + u64::from(place);
    match parts.functions.and_then(|functions: Table| functions.get(store, index)) {
        Some(Ref::Func(Nullable::Val(function))) => Ok(function),
        _ => Err(Fault::missing("function of segment", place)),
    }
}

/// The numbers of all functions that others can refer to, by their handles in wasmi, which are ascending.
pub struct FunctionNumbers(Vec<(u64, u32)>);

impl FunctionNumbers {
    /// Finds the functions of an instance.
    ///
    /// # Errors
    /// If the heap is used up, or the instance lacks one.
    pub fn of(store: &Store<Host>, parts: &Parts, program: &Program<'_>) -> Result<FunctionNumbers, Fault> {
        let mut all = Vec::new();
        all.try_reserve_exact(program.functions.count()).map_err(|_| Fault::OutOfHeap)?;
        let Some(functions) = parts.functions else { return Ok(FunctionNumbers(all)) };
        for (place, number) in (0..).zip(program.functions.iter()) {
            match functions.get(store, place) {
                Some(Ref::Func(Nullable::Val(function))) => all.push((handle(function), number)),
                _ => return Err(Fault::missing("function", number)),
            }
        }
        all.sort_unstable();
        Ok(FunctionNumbers(all))
    }

    /// Returns a reference as an element: the function's number plus one, or 0 for null.
    ///
    /// # Errors
    /// If it refers to none of the functions.
    pub fn element_of(&self, reference: &Ref) -> Result<u32, Fault> {
        let Ref::Func(Nullable::Val(function)) = reference else { return Ok(0) };
        let found = self.0.binary_search_by_key(&handle(*function), |entry| entry.0);
        let entry = found.ok().and_then(|place| self.0.get(place));
        entry.map(|entry| entry.1 + 1).ok_or_else(|| Fault::missing("function of element", 0))
    }
}

/// Returns the handle of a function as a number. wasmi compares handles only inside.
fn handle(function: Func) -> u64 {
    // SAFETY: a handle consists of two numbers of 32 bits, those of the store and of the function, and no padding.
    unsafe { core::mem::transmute(function) }
}
