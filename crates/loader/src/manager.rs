//! The manager of loaded modules: what it holds. What it does is in `load/`, `call/`, `reload.rs`, `unload.rs`,
//! `versions.rs` and `profiles.rs`.

#[cfg(any(feature = "events", feature = "regions", feature = "reload"))]
use core::cell::RefCell;
use core::cell::{Cell, Ref};
#[cfg(feature = "events")]
use core::sync::atomic::AtomicU64;

use bareflow_abi::Reason;

use crate::fault::Fault;
#[cfg(feature = "supervision")]
use crate::module::notice::Notices;
use crate::module::placed::PlacedModule;
use crate::module::{Module, ModuleId};
use crate::name::Name;
use crate::platform::{CallFailure, CallOutcome, Platform};
use crate::policy::LoadOptions;
use crate::policy::kernel_domain::KernelDomain;
use crate::profile::{SpareBuffer, Timing};
#[cfg(feature = "devices")]
use crate::registry::devices::ClaimTable;
use crate::registry::embedder::Embedder;
#[cfg(feature = "events")]
use crate::registry::events::EventTable;
#[cfg(feature = "devices")]
use crate::registry::leftovers::Leftovers;
#[cfg(feature = "regions")]
use crate::registry::regions::{DEFAULT_LIMIT_BYTES, RegionTable};
use crate::registry::uses::Uses;
use crate::registry::{NameEntry, Registry};
#[cfg(feature = "portable")]
use crate::sandbox::Sandbox;
#[cfg(feature = "reload")]
use crate::{module::receipt::Receipt, platform::MAX_DEPTH};

/// All loaded modules of one [`Platform`].
///
/// ```
/// use bareflow_host::HostPlatform;
/// use bareflow_loader::{KernelDomain, ModuleManager, Timing};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let blob = include_bytes!("../../../tests/golden/abi-1.2/echo.mod");
/// // SAFETY: the blob is our own.
/// let trusted = unsafe { KernelDomain::trust_all_blobs() };
/// let platform = HostPlatform::new(Box::new(|line| println!("{line}")))?;
/// let manager = ModuleManager::with_kernel_domain(platform, Timing::Precise, trusted);
/// let echo = manager.load(blob)?;
/// let mut output = [0; 8];
/// let outcome = manager.execute_with(echo, b"hello", &mut output)?;
/// assert_eq!((outcome.result, &output[..outcome.output_length]), (5, b"hello".as_slice()));
/// assert_eq!(manager.stats(echo).map(|profile| profile.call_count), Some(1));
/// assert!(manager.unload(echo)?.is_balanced());
/// # Ok(())
/// # }
/// ```
///
/// All methods take `&self`, so a platform may load, replace or unload modules from inside a call.
///
/// It is not `Sync`: use one manager per processor, or put it behind a lock that no service takes. A [`ModuleId`] is
/// only good for the manager that returned it.
///
/// Dropping a manager releases its modules' memory but does not call their `exit` functions;
/// [`unload`](ModuleManager::unload) does.
pub struct ModuleManager<P: Platform> {
    pub(crate) platform: P,
    pub(crate) timing: Timing,
    pub(crate) kernel_domain: Option<KernelDomain>,
    /// The engines whose code may run with the embedder's privileges.
    #[cfg(feature = "portable")]
    pub(crate) sandbox: Cell<Sandbox>,
    overhead_cycles: u64,
    clock_step_cycles: u64,
    pub(crate) registry: Registry<P>,
    pub(crate) spare_buffer: SpareBuffer<P::Alloc>,
    /// The receipts of modules that were retired during calls, the oldest first; at most one per running call.
    #[cfg(feature = "reload")]
    pub(crate) receipts: RefCell<[Option<Receipt>; MAX_DEPTH]>,
    /// The time of the next restart or fallback, in microseconds.
    #[cfg(feature = "supervision")]
    pub(crate) next_step: Cell<Option<u64>>,
    /// Notices of supervision that were not taken yet.
    #[cfg(feature = "supervision")]
    pub(crate) notices: Notices<P::Alloc>,
    /// The last fault of any call. It is kept here because the module may be gone.
    pub(crate) last_fault: Cell<Option<Fault>>,
    /// The providers of the embedder.
    pub(crate) embedder: Embedder<P::Alloc>,
    /// Provides what is only needed once a module imports something; taken when the first one does.
    pub(crate) on_first_import: Cell<Option<OnFirstImport<P>>>,
    /// The embedder's own uses of modules.
    pub(crate) uses: Uses<P::Alloc>,
    /// The number of modules that may call others, and of the embedder's uses.
    pub(crate) callers: Cell<usize>,
    /// The number of modules that have state, or parameters that were set.
    pub(crate) stateful: Cell<usize>,
    /// The number of running calls that modules have made to modules.
    pub(crate) depth: Cell<usize>,
    /// The devices that modules have.
    #[cfg(feature = "devices")]
    pub(crate) claims: RefCell<ClaimTable<P::Alloc>>,
    /// The completions of devices that were closed.
    #[cfg(feature = "devices")]
    pub(crate) leftovers: RefCell<Leftovers<P::Alloc>>,
    /// The events of modules, once one that has any was loaded.
    #[cfg(feature = "events")]
    pub(crate) events: RefCell<Option<EventTable<P::Alloc>>>,
    /// The time at which there is something to do for events, in microseconds. A tick may look at it at any time.
    #[cfg(feature = "events")]
    pub(crate) next_event_us: AtomicU64,
    /// Whether handlers of events are being called.
    #[cfg(feature = "events")]
    pub(crate) is_running_events: Cell<bool>,
    /// The regions that modules share.
    #[cfg(feature = "regions")]
    pub(crate) regions: RefCell<RegionTable<P::Alloc>>,
    /// The most bytes of regions that a module may own.
    #[cfg(feature = "regions")]
    pub(crate) region_limit: Cell<u64>,
}

/// A function that provides the embedder's interfaces.
pub(crate) type OnFirstImport<P> = fn(&ModuleManager<P>);

impl<P: Platform> ModuleManager<P> {
    /// Creates a manager without modules, which loads into the user domain only, and measures the cost of measuring.
    pub fn new(platform: P, timing: Timing) -> ModuleManager<P> {
        Self::create(platform, timing, None)
    }

    /// Creates a manager that loads into both domains, as far as the platform has them.
    pub fn with_kernel_domain(platform: P, timing: Timing, permission: KernelDomain) -> ModuleManager<P> {
        Self::create(platform, timing, Some(permission))
    }

    fn create(platform: P, timing: Timing, kernel_domain: Option<KernelDomain>) -> ModuleManager<P> {
        ModuleManager {
            kernel_domain,
            #[cfg(feature = "portable")]
            sandbox: Cell::new(Sandbox::EMPTY),
            overhead_cycles: timing.cost_cycles(&platform),
            clock_step_cycles: Timing::step_cycles(&platform),
            timing,
            registry: Registry::new(),
            spare_buffer: SpareBuffer::new(),
            #[cfg(feature = "reload")]
            receipts: RefCell::new([None; MAX_DEPTH]),
            #[cfg(feature = "supervision")]
            next_step: Cell::new(None),
            #[cfg(feature = "supervision")]
            notices: Notices::new(),
            last_fault: Cell::new(None),
            embedder: Embedder::new(),
            on_first_import: Cell::new(None),
            uses: Uses::new(),
            callers: Cell::new(0),
            stateful: Cell::new(0),
            depth: Cell::new(0),
            #[cfg(feature = "devices")]
            claims: RefCell::new(ClaimTable::new_in(platform.allocator())),
            #[cfg(feature = "devices")]
            leftovers: RefCell::new(Leftovers::new_in(platform.allocator())),
            #[cfg(feature = "events")]
            events: RefCell::new(None),
            #[cfg(feature = "events")]
            next_event_us: AtomicU64::new(u64::MAX),
            #[cfg(feature = "events")]
            is_running_events: Cell::new(false),
            #[cfg(feature = "regions")]
            regions: RefCell::new(RegionTable::new_in(platform.allocator())),
            #[cfg(feature = "regions")]
            region_limit: Cell::new(DEFAULT_LIMIT_BYTES),
            platform,
        }
    }

    /// Returns the registry's entry for a module's name.
    #[inline]
    pub(crate) fn name_entry(&self, module: &Module<P>) -> Option<&NameEntry> {
        self.registry.name_at(module.name_index)
    }

    /// Returns the options that a module was loaded with.
    #[must_use]
    pub fn options(&self, id: ModuleId) -> Option<LoadOptions> {
        self.get(id).map(|module| module.metadata.options())
    }

    /// Passes a module's image to `look`, for an embedder that inspects its own memory.
    pub fn with_image<T>(&self, id: ModuleId, look: impl FnOnce(&P::Image) -> T) -> Option<T> {
        Some(look(&self.get(id)?.placed.image))
    }

    /// Returns a load's identification for people: the module's name, and the number of that name's load.
    #[must_use]
    pub fn load_of(&self, id: ModuleId) -> Option<(Name, u32)> {
        self.get(id).map(|module| (module.name, module.generation.get()))
    }

    /// Returns whether the handle's module is still loaded.
    #[must_use]
    pub fn is_loaded(&self, id: ModuleId) -> bool {
        self.get(id).is_some()
    }

    /// Iterates over the handles of all modules, in the order of their slots in the registry.
    pub fn ids(&self) -> impl Iterator<Item = ModuleId> {
        self.registry.ids()
    }

    /// Returns the method by which the clock is read around calls.
    #[must_use]
    pub const fn timing(&self) -> Timing {
        self.timing
    }

    /// Returns the cost of reading the clock twice, in cycles. It is part of every raw reading.
    #[must_use]
    pub const fn call_overhead_cycles(&self) -> u64 {
        self.overhead_cycles
    }

    /// Returns the clock's resolution, in cycles. Smaller differences are not significant.
    #[must_use]
    pub const fn clock_step_cycles(&self) -> u64 {
        self.clock_step_cycles
    }

    /// Returns the platform.
    #[must_use]
    pub const fn platform(&self) -> &P {
        &self.platform
    }

    /// Releases an image, out of line because it is rarely needed.
    #[cold]
    #[inline(never)]
    pub(crate) fn release(&self, image: P::Image) {
        self.platform.release(image);
    }

    /// Does `work` that may call modules for the loader itself: what a caller is told is its own fault, not one of these.
    pub(crate) fn keeping_last_fault<T>(&self, work: impl FnOnce() -> T) -> T {
        let last_fault = self.last_fault.get();
        let done = work();
        self.last_fault.set(last_fault);
        done
    }

    pub(crate) fn get(&self, id: ModuleId) -> Option<Ref<'_, Module<P>>> {
        self.registry.get(id)
    }

    /// Calls a module outside of its profile.
    pub(crate) fn call(&self, module: &Module<P>, reason: Reason) -> Result<i32, CallFailure> {
        self.call_in(module, &module.placed, reason)
    }

    /// Calls a module outside of its profile, in the given image.
    pub(crate) fn call_in(
        &self,
        module: &Module<P>,
        placed: &PlacedModule<P::Image>,
        reason: Reason,
    ) -> Result<i32, CallFailure> {
        self.call_unprofiled(module, placed, reason, &[], &mut []).map(|outcome| outcome.result)
    }

    /// Calls a module outside of its profile, in the given image, with `input`, and lets it write to `output`.
    #[inline]
    pub(crate) fn call_unprofiled(
        &self,
        module: &Module<P>,
        placed: &PlacedModule<P::Image>,
        reason: Reason,
        input: &[u8],
        output: &mut [u8],
    ) -> Result<CallOutcome, CallFailure> {
        let call = module.call(placed, reason, input, self.timing);
        match self.call_platform_slow(&call, &module.metadata, output) {
            Ok(returned) => Ok(returned.outcome),
            Err(failure) => Err(module.failure(failure)),
        }
    }
}

impl<P: Platform> Drop for ModuleManager<P> {
    fn drop(&mut self) {
        #[cfg(feature = "devices")]
        self.close_all_devices();
        for module in self.registry.drain() {
            self.platform.release(module.placed.image);
        }
        #[cfg(feature = "regions")]
        self.free_regions();
    }
}

#[cfg(test)]
#[path = "manager_tests.rs"]
mod tests;
