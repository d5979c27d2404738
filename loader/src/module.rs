//! One loaded module: what it is, what it is doing, what came of it.

use core::cell::Cell;

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use bareflow_abi::header::FLAG_REENTRANT;

use crate::diagnosis::{Diagnosis, InFunction};
use crate::fault::Fault;
use crate::name::{Name, Version};
use crate::placed::PlacedModule;
use crate::platform::Platform;
use crate::policy::{LoadOptions, Placement};
use crate::profile::Recorder;
use crate::profile::turns::Turns;

/// A handle to a loaded module. It stays behind when the module is unloaded or
/// replaced, and then leads nowhere: find the name again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModuleId {
    pub(crate) index: usize,
    pub(crate) load: u64,
}

/// One loaded module.
pub(crate) struct Module<P: Platform> {
    pub(crate) name: Name,
    pub(crate) version: Version,
    pub(crate) generation: Cell<u32>,
    pub(crate) load: u64,
    pub(crate) flags: u32,
    /// The x86-64 level of the code that was placed.
    pub(crate) cpu_level: u8,
    pub(crate) code_size: u64,
    pub(crate) blob_size: u64,
    pub(crate) options: LoadOptions,
    pub(crate) placement: Placement,
    pub(crate) placed: PlacedModule<P::Image>,
    pub(crate) state: Cell<State>,
    /// Whether it is to go as soon as no call of it is under way: no new one begins.
    pub(crate) retired: Cell<bool>,
    /// Whether it is among those found by its name.
    pub(crate) listed: Cell<bool>,
    /// The place of the next module of its name.
    pub(crate) next: Cell<Option<usize>>,
    /// What the last call returned, if any did.
    pub(crate) last_result: Cell<i32>,
    pub(crate) turns: Turns,
    pub(crate) kept: Kept<P::Tables>,
    pub(crate) faults: Faults<P::Tables>,
    pub(crate) recorder: Recorder<P::Tables>,
}

impl<P: Platform> Module<P> {
    /// Takes note of a fault, and of the function that it is in.
    pub(crate) fn note(&self, fault: Fault, diagnosis: Option<Diagnosis>, tables: P::Tables) {
        let function = fault.offset.and_then(|offset| InFunction::find(self.kept.symbols(), offset));
        self.faults.note(fault, diagnosis.map(|diagnosis| Diagnosis { function, ..diagnosis }), tables);
    }

    /// What it is doing, if a call of it may begin.
    #[inline(always)]
    pub(crate) fn callable(&self) -> Result<State, Failure> {
        if self.retired.get() {
            return Err(Failure::NotLoaded);
        }
        match self.state.get() {
            State::Ready => Ok(State::Ready),
            State::Running if self.flags & FLAG_REENTRANT != 0 => Ok(State::Running),
            State::Preparing | State::Running | State::Stopped => Err(Failure::Refused),
        }
    }
}

/// The parts of a blob that are of use later: of most, none.
pub(crate) struct Kept<A: Allocator> {
    bytes: Vec<u8, A>,
    schema: u32,
    depends: u32,
    symbols: u32,
}

impl<A: Allocator> Kept<A> {
    /// Keeps a state's schema, a list of dependencies, the code's functions, and the whole blob, as far as they are
    /// there; `None` when there is no memory.
    pub(crate) fn new(schema: &[u8], depends: &[u8], symbols: &[u8], blob: &[u8], tables: A) -> Option<Kept<A>> {
        let mut bytes = Vec::new_in(tables);
        for part in [schema, depends, symbols, blob] {
            // Copying nothing from nowhere takes processors long where copies are masked.
            if !part.is_empty() {
                bytes.try_reserve_exact(part.len()).ok()?;
                bytes.extend_from_slice(part);
            }
        }
        let length = |part: &[u8]| u32::try_from(part.len()).ok();
        Some(Kept { bytes, schema: length(schema)?, depends: length(depends)?, symbols: length(symbols)? })
    }

    /// The schema of the module's state; empty where it has none.
    pub(crate) fn schema(&self) -> &[u8] {
        self.bytes.get(..self.schema as usize).unwrap_or_default()
    }

    /// The list of the modules it may call; empty where it calls none.
    #[inline(always)]
    pub(crate) fn depends(&self) -> &[u8] {
        if self.depends == 0 { &[] } else { self.part(self.schema, self.depends) }
    }

    /// The functions of its code; empty where they are not known.
    pub(crate) fn symbols(&self) -> &[u8] {
        self.part(self.schema + self.depends, self.symbols)
    }

    /// What the module is restarted from; empty where it never is.
    pub(crate) fn blob(&self) -> &[u8] {
        self.bytes.get((self.schema + self.depends + self.symbols) as usize..).unwrap_or_default()
    }

    fn part(&self, start: u32, length: u32) -> &[u8] {
        self.bytes.get(start as usize..(start + length) as usize).unwrap_or_default()
    }

    /// Bytes of the loader's tables that all of it takes.
    pub(crate) fn table_bytes(&self) -> u64 {
        self.bytes.capacity() as u64
    }
}

/// How a module went wrong so far.
pub(crate) struct Faults<A: Allocator> {
    pub(crate) last: Cell<Option<Fault>>,
    pub(crate) diagnosis: Cell<Option<Box<Diagnosis, A>>>,
    pub(crate) count: Cell<u32>,
    pub(crate) restarts: Cell<u32>,
}

impl<A: Allocator> Faults<A> {
    /// Not at all.
    pub(crate) const fn none() -> Faults<A> {
        Faults { last: Cell::new(None), diagnosis: Cell::new(None), count: Cell::new(0), restarts: Cell::new(0) }
    }

    /// Bytes of the loader's tables that the diagnosis takes.
    pub(crate) fn table_bytes(&self) -> u64 {
        let diagnosis = self.diagnosis.take();
        let bytes = if diagnosis.is_some() { size_of::<Diagnosis>() } else { 0 };
        self.diagnosis.set(diagnosis);
        bytes as u64
    }

    /// Takes note of a fault. Without memory for it the diagnosis is lost.
    fn note(&self, fault: Fault, diagnosis: Option<Diagnosis>, tables: A) {
        self.count.set(self.count.get().saturating_add(1));
        self.last.set(Some(fault));
        self.diagnosis.set(diagnosis.and_then(|diagnosis| Box::try_new_in(diagnosis, tables).ok()));
    }
}

/// Why a call gave no result, in short.
#[derive(Clone, Copy)]
pub(crate) enum Failure {
    NotLoaded,
    Refused,
    ProfileFull,
    NoMemory,
    Faulted,
}

/// What a module is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It is being loaded: its place is taken, and nobody finds it.
    Preparing,
    /// Nothing.
    Ready,
    /// A call.
    Running,
    /// Nothing any more: a call faulted.
    Stopped,
}
