//! The interfaces of a loaded module: what its imports are bound to, and the profiles of the functions that it exports.

use core::cell::Cell;
use core::num::NonZeroU32;
use core::ops::Range;

use allocator_api2::alloc::Allocator;
use allocator_api2::boxed::Box;
use allocator_api2::vec::Vec;
use bareflow_abi::interface::bindings::Entries;
#[cfg(any(feature = "events", feature = "regions"))]
use bareflow_abi::interface::bindings::Entry;
use bareflow_abi::interface::{CallError, Shape};

use crate::module::ModuleId;
use crate::profile::sampler::Sampler;
use crate::profile::{ProfileBuffer, Usage};

/// The name by which modules ask for the interfaces of the loader itself.
pub(crate) const LOADER_NAME: &str = "loader";

/// The imports of a module, and the functions that it exports, in the order of its record.
pub(crate) struct Interfaces<A: Allocator> {
    /// The record, then the signatures, then the record of events.
    bytes: Vec<u8, A>,
    record: usize,
    /// The end of the signatures, after which comes the record of events.
    signatures: usize,
    pub imports: Vec<Import, A>,
    /// The methods of all imports, one import after the other.
    pub methods: Vec<Cell<BoundMethod>, A>,
    pub functions: Vec<Function<A>, A>,
    /// The module that they belong to, once it is in its slot. It is who calls an interface of the loader.
    #[cfg(any(feature = "events", feature = "regions"))]
    pub owner: Cell<Option<ModuleId>>,
    /// Whether an import has another name than the module that it is bound to by name.
    #[cfg(any(feature = "events", feature = "regions"))]
    pub renames: bool,
    /// The number by which providers know it, see [`Context::caller`](bareflow_abi::Context::caller).
    pub caller: Cell<u32>,
    /// The number of its events' slot, if it has any.
    #[cfg(feature = "events")]
    pub events: Cell<Option<SlotNumber>>,
    /// The bytes of the table of events that are this module's.
    #[cfg(feature = "events")]
    pub event_bytes: Cell<u64>,
    /// The pages of the regions that it owns.
    #[cfg(feature = "regions")]
    pub region_pages: Cell<u32>,
}

/// An import.
#[derive(Debug)]
pub(crate) struct Import {
    /// The provider; `None` until it is bound.
    pub provider: Cell<Option<ProviderId>>,
    /// The number of the provider's restarts that the module knows of.
    pub restarts: Cell<u32>,
    /// The place of its methods among those of all imports.
    pub methods: Range<u64>,
}

/// A method of an import.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BoundMethod {
    /// The number of the provider's function, or of the embedder's method.
    pub function: u32,
    /// The shape that both sides agree on.
    pub shape: Shape,
}

/// The number of the slot with a module's events.
#[cfg(feature = "events")]
pub(crate) type SlotNumber = u32;

/// A provider of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProviderId {
    /// A module.
    Module(ModuleId),
    /// The embedder's provider with this number.
    Embedder(u32),
    /// The loader itself.
    Loader(LoaderInterface),
}

/// An interface that the loader itself provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoaderInterface {
    /// The devices that a module drives.
    #[cfg(feature = "devices")]
    Device,
    /// Those that are virtio devices.
    #[cfg(feature = "devices")]
    Virtio,
    /// Timers and notifications.
    #[cfg(feature = "events")]
    Events,
    /// Memory that modules share.
    #[cfg(feature = "regions")]
    Regions,
    /// The modules that are loaded.
    #[cfg(feature = "report")]
    Report,
    /// Restarts of modules.
    #[cfg(feature = "supervision")]
    Supervision,
}

/// A function that a module exports: its profile.
pub(crate) struct Function<A: Allocator> {
    pub sampler: Sampler,
    pub profile_buffer: ProfileBuffer<A>,
    /// The number of calls that faulted.
    pub faults: Cell<u32>,
    /// The result of the last call; of a method, its status.
    pub last_result: Cell<i32>,
}

impl<A: Allocator> Function<A> {
    /// Returns the number of calls, including those that faulted.
    pub fn call_count(&self) -> u64 {
        self.profile_buffer.count() + self.sampler.untimed() + u64::from(self.faults.get())
    }
}

impl<A: Allocator + Clone> Interfaces<A> {
    /// Creates the tables for a record: with nothing bound, and nothing called. `None` if there is no memory.
    #[cold]
    #[inline(never)]
    pub fn new(
        [bindings, signatures, events]: [&[u8]; 3],
        sample_every: NonZeroU32,
        allocator: &A,
    ) -> Option<Box<Interfaces<A>, A>> {
        let mut bytes = Vec::new_in(allocator.clone());
        bytes.try_reserve_exact(bindings.len() + signatures.len() + events.len()).ok()?;
        bytes.extend_from_slice(bindings);
        bytes.extend_from_slice(signatures);
        bytes.extend_from_slice(events);
        let entries = Entries::new(bindings);
        let mut imports = Vec::new_in(allocator.clone());
        imports.try_reserve_exact(entries.imports().count()).ok()?;
        let mut methods = Vec::new_in(allocator.clone());
        methods.try_reserve_exact(entries.imports().map(|entry| entry.method_count()).sum()).ok()?;
        for entry in entries.imports() {
            let first = methods.len() as u64;
            methods.extend(entry.methods().map(|method| Cell::new(BoundMethod { function: 0, shape: method.shape })));
            imports.push(Import {
                provider: Cell::new(None),
                restarts: Cell::new(0),
                methods: first..methods.len() as u64,
            });
        }
        let mut functions = Vec::new_in(allocator.clone());
        let count = entries.function_count();
        functions.try_reserve_exact(count).ok()?;
        functions.resize_with(count, || Function {
            sampler: Sampler::new(sample_every),
            profile_buffer: ProfileBuffer::new(),
            faults: Cell::new(0),
            last_result: Cell::new(0),
        });
        let interfaces = Interfaces {
            bytes,
            record: bindings.len(),
            signatures: bindings.len() + signatures.len(),
            imports,
            methods,
            functions,
            #[cfg(any(feature = "events", feature = "regions"))]
            owner: Cell::new(None),
            #[cfg(any(feature = "events", feature = "regions"))]
            renames: entries.imports().any(|import| provider_of(&import).is_some_and(|name| name != import.name)),
            caller: Cell::new(0),
            #[cfg(feature = "events")]
            events: Cell::new(None),
            #[cfg(feature = "events")]
            event_bytes: Cell::new(0),
            #[cfg(feature = "regions")]
            region_pages: Cell::new(0),
        };
        Box::try_new_in(interfaces, allocator.clone()).ok()
    }
}

/// Returns the name of the module that an import is bound to by name, if it is.
#[cfg(any(feature = "events", feature = "regions"))]
pub(crate) fn provider_of<'bytes>(import: &Entry<'bytes>) -> Option<&'bytes str> {
    let provider = import.provider.split('@').next()?;
    (!provider.is_empty() && provider != LOADER_NAME).then_some(provider)
}

impl<A: Allocator> Interfaces<A> {
    /// Returns the methods of the import with this number.
    pub fn methods_of(&self, import: usize) -> &[Cell<BoundMethod>] {
        let range = self.imports.get(import).map(|import| import.methods.start as usize..import.methods.end as usize);
        range.and_then(|range| self.methods.get(range)).unwrap_or_default()
    }

    /// Returns a method of an import, both by their numbers.
    ///
    /// # Errors
    /// There is no such.
    #[inline]
    pub fn method(&self, import: u32, method: u32) -> Result<(&Import, BoundMethod), CallError> {
        let import = self.imports.get(import as usize).ok_or(CallError::NotBound)?;
        let index = import.methods.start + u64::from(method);
        let bound = if index < import.methods.end { self.methods.get(index as usize) } else { None };
        Ok((import, bound.ok_or(CallError::NoSuchMethod)?.get()))
    }

    /// Returns the record of imports and exports.
    pub fn bindings(&self) -> &[u8] {
        self.bytes.get(..self.record).unwrap_or_default()
    }

    /// Returns the signatures of the methods; empty if they are not known.
    pub fn signatures(&self) -> &[u8] {
        self.bytes.get(self.record..self.signatures).unwrap_or_default()
    }

    /// Returns the record of events; empty if there are none.
    #[cfg(feature = "events")]
    pub fn events_record(&self) -> &[u8] {
        self.bytes.get(self.signatures..).unwrap_or_default()
    }

    /// Returns whether the module imports this interface of the loader's.
    #[cfg(feature = "regions")]
    pub fn imports_from_loader(&self, interface: LoaderInterface) -> bool {
        self.imports.iter().any(|import| import.provider.get() == Some(ProviderId::Loader(interface)))
    }

    /// Returns the memory that they use, with the regions that the module owns.
    pub fn usage(&self) -> Usage {
        let sizes = size_of::<Interfaces<A>>()
            + self.bytes.len()
            + self.imports.len() * size_of::<Import>()
            + self.methods.len() * size_of::<Cell<BoundMethod>>()
            + self.functions.len() * size_of::<Function<A>>();
        #[cfg(feature = "events")]
        let sizes = sizes + self.event_bytes.get() as usize;
        let profiles = self.functions.iter().map(|function| function.profile_buffer.table_bytes());
        let table_bytes = sizes as u64 + profiles.sum::<u64>();
        #[cfg(feature = "regions")]
        let pages = self.region_pages.get().into();
        #[cfg(not(feature = "regions"))]
        let pages = 0;
        Usage { pages, table_bytes, ..Usage::default() }
    }
}
