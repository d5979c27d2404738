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
use crate::policy::{LoadOptions, OnFault, Placement};
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
    pub(crate) generation: u32,
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
    /// The schema of its state; empty where it has none.
    pub(crate) schema: Vec<u8, P::Tables>,
    /// The list of the modules it may call; empty where it calls none.
    pub(crate) depends: Vec<u8, P::Tables>,
    /// The functions of its code; empty where they are not known.
    pub(crate) symbols: Vec<u8, P::Tables>,
    pub(crate) faults: Faults<P::Tables>,
    pub(crate) recorder: Recorder<P::Tables>,
}

impl<P: Platform> Module<P> {
    /// Takes note of a fault, and of the function that it is in.
    pub(crate) fn note(&self, fault: Fault, diagnosis: Option<Diagnosis>) {
        let function = fault.offset.and_then(|offset| InFunction::find(&self.symbols, offset));
        self.faults.note(fault, diagnosis.map(|diagnosis| Diagnosis { function, ..diagnosis }));
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
            State::Running | State::Stopped => Err(Failure::Refused),
        }
    }
}

/// How a module went wrong so far, and what is done about it.
pub(crate) struct Faults<A: Allocator> {
    pub(crate) policy: OnFault,
    /// What the module is restarted from; empty where it never is.
    pub(crate) blob: Vec<u8, A>,
    pub(crate) last: Cell<Option<Fault>>,
    pub(crate) diagnosis: Cell<Option<Box<Diagnosis, A>>>,
    pub(crate) count: Cell<u32>,
    pub(crate) restarts: Cell<u32>,
}

impl<A: Allocator + Clone> Faults<A> {
    /// No faults so far; `None` when there is no memory for the copy of `blob` that a restart needs.
    pub(crate) fn new(policy: OnFault, blob: &[u8], tables: A) -> Option<Faults<A>> {
        let kept = if policy == OnFault::Stop { &[] } else { blob };
        Some(Faults {
            policy,
            blob: copy_to(kept, tables)?,
            last: Cell::new(None),
            diagnosis: Cell::new(None),
            count: Cell::new(0),
            restarts: Cell::new(0),
        })
    }

    /// Bytes of the loader's tables that the copy of the blob and the diagnosis take.
    pub(crate) fn table_bytes(&self) -> u64 {
        let diagnosis = self.diagnosis.take();
        let bytes = if diagnosis.is_some() { size_of::<Diagnosis>() } else { 0 };
        self.diagnosis.set(diagnosis);
        (self.blob.capacity() + bytes) as u64
    }

    /// Takes note of a fault. Without memory for it the diagnosis is lost.
    fn note(&self, fault: Fault, diagnosis: Option<Diagnosis>) {
        self.count.set(self.count.get().saturating_add(1));
        self.last.set(Some(fault));
        let tables = self.blob.allocator().clone();
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

/// A copy of `bytes` in the loader's tables; `None` when there is no memory.
pub(crate) fn copy_to<A: Allocator>(bytes: &[u8], tables: A) -> Option<Vec<u8, A>> {
    let mut copy = Vec::new_in(tables);
    copy.try_reserve_exact(bytes.len()).ok()?;
    copy.extend_from_slice(bytes);
    Some(copy)
}

/// What a module is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing.
    Ready,
    /// A call.
    Running,
    /// Nothing any more: a call faulted.
    Stopped,
}
