//! One call into a module, as a platform gets it.

use bareflow_abi::CallRefusal;
use bareflow_abi::interface::{CallError, Frame, Reply, Shape};

use super::outcome::CallOutcome;
use crate::name::Name;
use crate::profile::Timing;

/// One call into a module: of an entry that the loader has validated, in an image that it filled.
///
/// A [`ModuleManager`](crate::ModuleManager) makes its own; without one, [`PlacedModule::call`](crate::placed::PlacedModule::call)
/// makes a call of a placed module, and [`new`](Self::new) one of any parts.
#[derive(Debug)]
pub struct Call<'call, Image> {
    pub(crate) module: &'call Name,
    pub(crate) image: &'call Image,
    pub(crate) entry: u64,
    pub(crate) reason: u32,
    pub(crate) input: &'call [u8],
    pub(crate) timing: Timing,
    pub(crate) check_abi: bool,
    pub(crate) caller: u32,
}

#[expect(clippy::inline_always, reason = "the fast path of a call reads these in a handful of instructions")]
impl<'call, Image> Call<'call, Image> {
    /// Creates a call of the module `module` from its parts.
    ///
    /// `reason` is the number of a [`Reason`](bareflow_abi::Reason), or that of a function with
    /// [`FIRST_FUNCTION`](bareflow_abi::interface::FIRST_FUNCTION) added. By default the platform does not check all
    /// registers; see [`checked`](Self::checked).
    ///
    /// # Safety
    /// `image` is the sealed image of a [`PlacedModule`](crate::module::placed::PlacedModule), and `entry` its entry. If it
    /// runs in the kernel domain, its code is trusted as [`KernelDomain::trust_all_blobs`](crate::KernelDomain::trust_all_blobs) requires.
    #[expect(unsafe_code, reason = "declares a contract")]
    #[must_use]
    pub const unsafe fn new(
        module: &'call Name,
        image: &'call Image,
        entry: u64,
        reason: u32,
        input: &'call [u8],
        timing: Timing,
    ) -> Self {
        Call { module, image, entry, reason, input, timing, check_abi: false, caller: 0 }
    }

    /// Makes the platform verify all registers and flags that a module must preserve.
    #[must_use]
    pub const fn checked(self) -> Self {
        Call { check_abi: true, ..self }
    }

    /// Returns the same call with another input.
    #[must_use]
    pub const fn with_input(self, input: &'call [u8]) -> Self {
        Call { input, ..self }
    }

    /// Returns the same call by the module with this number.
    #[must_use]
    #[inline(always)]
    pub const fn with_caller(self, caller: u32) -> Self {
        Call { caller, ..self }
    }

    /// Returns the module's name, for messages.
    #[must_use]
    #[inline(always)]
    pub const fn module(&self) -> &'call Name {
        self.module
    }

    /// Returns the sealed image.
    #[must_use]
    #[inline(always)]
    pub const fn image(&self) -> &'call Image {
        self.image
    }

    /// Returns the entry's address: validated to lie in the image's text.
    #[must_use]
    #[inline(always)]
    pub const fn entry(&self) -> u64 {
        self.entry
    }

    /// Returns the reason for the call, as its entry gets it.
    #[must_use]
    #[inline(always)]
    pub const fn reason(&self) -> u32 {
        self.reason
    }

    /// Returns the input bytes.
    #[must_use]
    #[inline(always)]
    pub const fn input(&self) -> &'call [u8] {
        self.input
    }

    /// Returns the number of the module that calls a method, for [`Context::caller`](bareflow_abi::Context::caller).
    #[must_use]
    #[inline(always)]
    pub const fn caller(&self) -> u32 {
        self.caller
    }

    /// Returns the method by which the clock is read around the call: see [`Timing::measure`].
    #[must_use]
    #[inline(always)]
    pub const fn timing(&self) -> Timing {
        self.timing
    }

    /// Returns whether to verify all registers and flags that a module must preserve.
    ///
    /// If false, the platform may silently restore those that are expensive to check.
    #[must_use]
    #[inline(always)]
    pub const fn check_abi(&self) -> bool {
        self.check_abi
    }
}

// A call is copied when it leaves the fast path, so that the fast path need not write it to memory.
impl<Image> Clone for Call<'_, Image> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Image> Copy for Call<'_, Image> {}

/// The modules and imports that the called module may call, as its platform's services `call` and `invoke` ask for them.
pub trait Callees {
    /// Calls the module named `name`.
    ///
    /// # Errors
    /// The reason for which there is no result.
    fn call(&self, name: &[u8], input: &[u8], output: &mut [u8]) -> Result<CallOutcome, CallRefusal>;

    /// Returns the shape of a method of an import, both by their numbers; by default there are none.
    ///
    /// # Errors
    /// The import is not bound, or has no such method.
    fn shape(&self, import: u32, method: u32) -> Result<Shape, CallError> {
        let _ = (import, method);
        Err(CallError::NotBound)
    }

    /// Calls a method of an import, whose [`shape`](Self::shape) the frame has.
    fn invoke(&self, import: u32, method: u32, frame: &mut Frame<'_>) -> Reply {
        let _ = (import, method, frame);
        CallError::NotBound.into()
    }

    /// Returns where the embedder has the `length` bytes that the caller sees at `address`, if they lie in a region that it
    /// has open, and may lend as a slice; `to_write`: one to be written. By default there are no regions.
    fn find_in_region(&self, address: u64, length: u64, to_write: bool) -> Option<u64> {
        let _ = (address, length, to_write);
        None
    }
}

/// The maximum depth of nested calls, the outermost included.
///
/// A platform that offers the service `call` or `invoke` has that many stacks.
pub const MAX_DEPTH: usize = 5;
