//! The context of a module's call: its input, its output and its services.
//!
//! Both structures only ever grow at the end and carry their size, so a module of an older minor version finds every
//! field at the offset it expects. Their layout is part of the [`fingerprint`](crate::fingerprint).

use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::slice;

use crate::call::{CALL_OK, CallArguments, CallRefusal, CallReply};
pub use crate::interface::InvokeService;
use crate::interface::{Arguments, CallError, Interface, Port, Reply};
use crate::memory::CANNOT_GROW;

/// The reason for which an entry is called.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Do the module's work.
    Run = 0,
    /// Initialise; called once, before the first run. A result other than 0 refuses the load.
    Init = 1,
    /// Finish; called once, before the module is unloaded.
    Exit = 2,
    /// Take over the state of another version: its [`PreviousState`](crate::state::PreviousState) form is the input.
    Migrate = 3,
    /// Since ABI 1.2. Write the state to the output.
    Save = 4,
    /// Since ABI 1.2. Write the number of blocks that are not freed in the heap, and their bytes, to the output.
    ///
    /// Each is a `u64`.
    Account = 5,
    /// Take the values of the parameters from the input: plain data, in the order of the record. Since ABI 1.3.
    ///
    /// It is the first call of an image, and comes only where values were set.
    Parameters = 6,
    /// Write the instance of WebAssembly into the areas that are carried: only for modules whose record of kind
    /// [`CARRY`](crate::record::CARRY) says so.
    Carry = 7,
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Reason; 8] = [
        Reason::Run,
        Reason::Init,
        Reason::Exit,
        Reason::Migrate,
        Reason::Save,
        Reason::Account,
        Reason::Parameters,
        Reason::Carry,
    ];
}

/// The type of an entry: it takes the context and a [`Reason`] as a number.
///
/// Calling one runs native code, so the caller vouches for it and for the context that it passes.
pub type EntryFn = unsafe extern "C" fn(*mut Context<'_>, u32) -> i32;

/// The table of services that a module may call. The embedder fills it in.
///
/// Its functions trust the pointers that they get. [`Context`] calls them safely.
#[repr(C)]
#[derive(Debug)]
pub struct Services {
    /// The size of this structure, in bytes.
    pub size: u32,
    /// Reserved: zero.
    pub reserved: u32,
    /// Logs one line. Arguments: context, UTF-8 text, and the text's length in bytes.
    pub log: unsafe extern "C" fn(*mut Context<'_>, *const u8, usize),
    /// Reads the embedder's cycle clock.
    pub clock: unsafe extern "C" fn(*mut Context<'_>) -> u64,
    /// Since ABI 1.2. Calls another module. Returns 0, or the number of a [`CallRefusal`].
    pub call: CallService,
    /// Since ABI 1.3. Calls a method of an import.
    pub invoke: InvokeService,
    /// Since ABI 1.5. Grows the module's linear memory.
    pub grow: GrowService,
}

/// The type of the service that grows a module's linear memory: it takes the context and the number of pages to add.
///
/// It returns the number of pages before, or [`CANNOT_GROW`] if the memory stays as it is.
pub type GrowService = unsafe extern "C" fn(*mut Context<'_>, u64) -> u64;

/// The type of the service that calls another module: it takes the context and the call's arguments.
pub type CallService = unsafe extern "C" fn(*mut Context<'_>, *mut CallArguments<'_>) -> u32;

extern "C" fn no_log(_: *mut Context<'_>, _: *const u8, _: usize) {}

extern "C" fn no_clock(_: *mut Context<'_>) -> u64 {
    0
}

extern "C" fn no_call(_: *mut Context<'_>, _: *mut CallArguments<'_>) -> u32 {
    CallRefusal::NotDeclared as u32
}

extern "C" fn no_invoke(_: *mut c_void, _: u64, _: *mut u64) -> Reply {
    CallError::NotBound.into()
}

extern "C" fn no_grow(_: *mut Context<'_>, _: u64) -> u64 {
    CANNOT_GROW
}

impl Services {
    /// The table of an embedder that offers no services: its functions do nothing.
    pub const NONE: Services = Services::new(no_log, no_clock);

    /// Creates a table with these services; it refuses all calls of other modules and of imports.
    #[must_use]
    pub const fn new(
        log: unsafe extern "C" fn(*mut Context<'_>, *const u8, usize),
        clock: unsafe extern "C" fn(*mut Context<'_>) -> u64,
    ) -> Services {
        let (call, invoke, grow) = (no_call, no_invoke, no_grow);
        Services { size: size_of::<Services>() as u32, reserved: 0, log, clock, call, invoke, grow }
    }

    /// Returns the same table with a service that calls other modules.
    #[must_use]
    pub const fn with_call(self, call: CallService) -> Services {
        Services { call, ..self }
    }

    /// Returns the same table with a service that calls methods of imports.
    #[must_use]
    pub const fn with_invoke(self, invoke: InvokeService) -> Services {
        Services { invoke, ..self }
    }

    /// Returns the same table with a service that grows linear memories.
    #[must_use]
    pub const fn with_grow(self, grow: GrowService) -> Services {
        Services { grow, ..self }
    }
}

/// The context of one call. A module gets it as `&mut`, and all its methods are safe for the module.
#[repr(C)]
#[derive(Debug)]
pub struct Context<'call> {
    /// The size of this structure, in bytes.
    size: u32,
    /// Since ABI 1.6, who [calls](Context::caller); zero before. It has its old name, as names are part of the fingerprint.
    reserved: u32,
    services: *const Services,
    /// The embedder's own pointer; modules do not use it.
    embedder: *mut c_void,
    input: *const u8,
    input_length: usize,
    output: *mut u8,
    output_capacity: usize,
    output_length: usize,
    /// Since ABI 1.1. The module's heap, which only its allocator uses.
    heap: *mut u8,
    /// Since ABI 1.1.
    heap_size: usize,
    borrows: PhantomData<(&'call Services, &'call [u8], &'call mut [u8])>,
}

/// The offsets of a context's fields, in bytes, for code that no Rust compiler makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextOffsets {
    /// The base of the address of the [`Services`].
    pub services: usize,
    /// The base of the [embedder's pointer](Context::embedder).
    pub embedder: usize,
    /// The base of the input's address.
    pub input: usize,
    /// The base of the input's length.
    pub input_length: usize,
    /// The base of the output's address.
    pub output: usize,
    /// The base of the output's capacity.
    pub output_capacity: usize,
    /// The base of the number of output bytes.
    pub output_length: usize,
}

impl<'call> Context<'call> {
    /// The offsets of the fields.
    pub const OFFSETS: ContextOffsets = ContextOffsets {
        services: offset_of!(Context<'_>, services),
        embedder: offset_of!(Context<'_>, embedder),
        input: offset_of!(Context<'_>, input),
        input_length: offset_of!(Context<'_>, input_length),
        output: offset_of!(Context<'_>, output),
        output_capacity: offset_of!(Context<'_>, output_capacity),
        output_length: offset_of!(Context<'_>, output_length),
    };

    /// Creates a context for one call.
    #[must_use]
    pub const fn new(services: &'call Services, input: &'call [u8], output: &'call mut [u8]) -> Context<'call> {
        Context {
            size: size_of::<Context<'_>>() as u32,
            reserved: 0,
            services,
            embedder: core::ptr::null_mut(),
            input: input.as_ptr(),
            input_length: input.len(),
            output_capacity: output.len(),
            output: output.as_mut_ptr(),
            output_length: 0,
            heap: core::ptr::null_mut(),
            heap_size: 0,
            borrows: PhantomData,
        }
    }

    /// Creates a context that a module will see at other addresses than its creator.
    ///
    /// `services`, `input`, `output` and `heap` are the addresses, with lengths in bytes, as the module sees them.
    ///
    /// # Safety
    /// Everyone who uses the context's methods must find the services and buffers at these addresses.
    #[must_use]
    pub unsafe fn from_raw_parts(
        services: u64,
        input: (u64, usize),
        output: (u64, usize),
        heap: (u64, u64),
    ) -> Context<'call> {
        Context {
            size: size_of::<Context<'_>>() as u32,
            reserved: 0,
            services: core::ptr::with_exposed_provenance(services as usize),
            embedder: core::ptr::null_mut(),
            input: core::ptr::with_exposed_provenance(input.0 as usize),
            input_length: input.1,
            output: core::ptr::with_exposed_provenance_mut(output.0 as usize),
            output_capacity: output.1,
            output_length: 0,
            heap: core::ptr::with_exposed_provenance_mut(heap.0 as usize),
            heap_size: heap.1 as usize,
            borrows: PhantomData,
        }
    }

    /// Prepares the context for another call, by `caller`, with `input` bytes of input and room for `output` bytes of output.
    ///
    /// # Safety
    /// As for [`from_raw_parts`](Self::from_raw_parts): the buffers have at least these lengths.
    #[inline(always)]
    pub const unsafe fn reset_buffers(&mut self, caller: u32, input: usize, output: usize) {
        self.reserved = caller;
        self.input_length = input;
        self.output_capacity = output;
        self.output_length = 0;
    }

    /// Returns the same context with a heap of `size` bytes at `address`.
    #[must_use]
    pub fn with_heap(mut self, address: u64, size: u64) -> Context<'call> {
        self.heap = core::ptr::with_exposed_provenance_mut(address as usize);
        self.heap_size = size as usize;
        self
    }

    /// Returns the same context with the number of the module that calls a method.
    #[must_use]
    #[inline(always)]
    pub const fn with_caller(mut self, caller: u32) -> Context<'call> {
        self.reserved = caller;
        self
    }

    /// Returns the number of the module that calls this method; 0 for the embedder, and in everything that is no method.
    ///
    /// Since ABI 1.6. It stays when the caller is started again, and what replaces the caller has the same one, from its `init`
    /// on, a candidate too. What is loaded anew has a number that none of the 4,294,967,294 loads before it had. A provider of several users
    /// tells them apart by it, which no user can forge.
    #[cfg(not(all(bareflow_module, target_family = "wasm")))]
    #[must_use]
    pub const fn caller(&self) -> u32 {
        self.reserved
    }

    /// Returns the same context with a pointer of the embedder's own.
    ///
    /// [`reset_buffers`](Self::reset_buffers) keeps it.
    ///
    /// The services can read it ([`embedder`](Self::embedder)). A module can read and overwrite it, so it may give
    /// access to no more than the embedder trusts the module with. In a domain whose modules are not trusted it stays
    /// null.
    #[must_use]
    pub const fn with_embedder(mut self, embedder: *mut c_void) -> Context<'call> {
        self.embedder = embedder;
        self
    }

    /// Returns the embedder's own pointer; null if it has set none, as in BareFlow's own user domains.
    #[must_use]
    pub const fn embedder(&self) -> *mut c_void {
        self.embedder
    }

    /// Returns the module's heap, of length 0 if it has none. Only for the allocator in `abi`.
    #[cfg(all(bareflow_module, feature = "alloc", not(target_family = "wasm")))]
    pub(crate) const fn heap(&self) -> (*mut u8, usize) {
        (self.heap, self.heap_size)
    }

    /// Returns the bytes that the caller passed in. They may be passed on while the context is in use.
    #[must_use]
    pub fn input(&self) -> &'call [u8] {
        // SAFETY: `new` took pointer and length from one slice that outlives `'call`.
        unsafe { slice::from_raw_parts(self.input, self.input_length) }
    }

    /// Appends as many of `bytes` to the output as fit. Returns their number.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let room = self.output_capacity.saturating_sub(self.output_length);
        let count = bytes.len().min(room);
        // SAFETY: `new` took pointer and capacity from one exclusive slice that outlives `'call`; `count` was just
        // limited to what is left of it.
        unsafe {
            let end = self.output.add(self.output_length);
            core::ptr::copy_nonoverlapping(bytes.as_ptr(), end, count);
        }
        self.output_length += count;
        count
    }

    /// Appends a word to the output, if all of it fits. It takes less code than [`write`](Self::write).
    #[cfg(not(all(bareflow_module, target_family = "wasm")))]
    pub(crate) fn write_word(&mut self, word: u64) {
        let bytes = word.to_le_bytes();
        if self.output_capacity.saturating_sub(self.output_length) >= bytes.len() {
            // SAFETY: as in `write`; there is room for all bytes, as was just checked.
            unsafe { self.output.add(self.output_length).cast::<[u8; 8]>().write(bytes) };
            self.output_length += bytes.len();
        }
    }

    /// Returns the number of output bytes. The caller of an untrusted module limits it to the length of its own buffer.
    #[must_use]
    pub const fn output_length(&self) -> usize {
        self.output_length
    }

    /// Writes one line to the embedder's log.
    pub fn log(&mut self, line: &str) {
        #[cfg(bareflow_module)]
        crate::machine::uses::mark!("l");
        let log = self.services().log;
        // SAFETY: the context is the one that came with the table, and the pointer and length are those of one string.
        unsafe { log(self, line.as_ptr(), line.len()) };
    }

    /// Returns the embedder's cycle clock: ticks since some point in the past, which never decrease.
    #[must_use]
    pub fn clock(&mut self) -> u64 {
        #[cfg(bareflow_module)]
        crate::machine::uses::mark!("t");
        let clock = self.services().clock;
        // SAFETY: the context is the one that came with the table.
        unsafe { clock(self) }
    }

    /// Calls the module `module`.
    ///
    /// The caller's `Cargo.toml` must list it in `package.metadata.bareflow.depends`.
    ///
    /// The active version of the name is called if it is in the declared range, or else the highest version that is.
    ///
    /// # Errors
    /// The reason for which there is no result.
    pub fn call(&mut self, module: &str, input: &[u8], output: &mut [u8]) -> Result<CallReply, CallRefusal> {
        let room = output.len();
        let mut arguments = CallArguments::new(module, input, output);
        #[cfg(bareflow_module)]
        crate::machine::uses::mark!("c");
        let call = self.services().call;
        // SAFETY: the context is the one that came with the table, and the arguments were made from slices that are
        // borrowed until the call is over.
        match unsafe { call(self, &raw mut arguments) } {
            CALL_OK => Ok(CallReply { result: arguments.result, output_length: arguments.output_length.min(room) }),
            refused => Err(CallRefusal::from_number(refused)),
        }
    }

    /// Returns the addresses that those among a method's words are relative to: of what it reads, and of what it writes. For
    /// interpreters.
    #[doc(hidden)]
    #[must_use]
    pub fn bases(&self) -> [u64; 2] {
        [self.input.expose_provenance() as u64, self.output.expose_provenance() as u64]
    }

    /// Calls a method of an import by the words of its frame, as [`InvokeService`] does. For interpreters.
    ///
    /// # Safety
    /// There are as many words as the method's shape has, and they fulfil what [`Frame::new`](crate::interface::Frame::new)
    /// demands.
    #[doc(hidden)]
    #[must_use]
    pub unsafe fn invoke(&mut self, import_and_method: u64, words: &mut [u64]) -> Reply {
        // SAFETY: as the caller promises.
        unsafe { (self.services().invoke)(self.embedder, import_and_method, words.as_mut_ptr()) }
    }

    /// Returns the port of the import with this number. For [`module!`](crate::module).
    ///
    /// # Safety
    /// By the module's bindings, that is an import of the interface `I`.
    #[doc(hidden)]
    #[must_use]
    #[inline]
    pub const unsafe fn import<I: ?Sized>(&self, number: u32) -> Port<'call, I> {
        // SAFETY: as the caller promises.
        unsafe { Port::of_import(self.embedder, self.services().invoke, number) }
    }

    /// Takes the arguments of a method of `I` out of input and output, which are empty afterwards. For
    /// [`module!`](crate::module).
    ///
    /// # Safety
    /// As for [`Arguments::new`]: the call is one of this method, with the frame in input and output.
    #[doc(hidden)]
    #[inline(always)]
    pub unsafe fn take_arguments<I: Interface + ?Sized>(&mut self, method: u32) -> Arguments<'call> {
        let (input, output) = ((self.input, self.input_length), (self.output, self.output_capacity));
        (self.input_length, self.output_capacity) = (0, 0);
        // SAFETY: as the caller promises; nobody else reaches the two through the context any more.
        unsafe { Arguments::from_raw(method, input, output) }
    }

    /// Returns the context with the lifetime of a reference to it. For [`module!`](crate::module).
    ///
    /// # Safety
    /// Nothing that lives shorter than `'call` is written to the context.
    #[doc(hidden)]
    #[inline(always)]
    pub unsafe fn shorten<'own>(&'own mut self) -> &'own mut Context<'own> {
        // SAFETY: lifetimes are not part of the layout, and the caller keeps to the longer one.
        unsafe { &mut *core::ptr::from_mut(self).cast() }
    }

    const fn services(&self) -> &'call Services {
        // SAFETY: `new` took it from a reference that outlives `'call`.
        unsafe { &*self.services }
    }
}

/// Adds pages to the module's linear memory. Returns the number before, or [`CANNOT_GROW`].
///
/// Linear memories are WebAssembly's, so this is for engines; the module's header must name the service.
pub fn grow_memory(context: &mut Context<'_>, pages: u64) -> u64 {
    let grow = context.services().grow;
    // SAFETY: the context is the one that came with the table.
    unsafe { grow(context, pages) }
}

/// Formats into the output; an error means that the output is full.
impl fmt::Write for Context<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.write(text.as_bytes()) == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

crate::field_layout::layout_of! {
    "Context" Context<'static> as CONTEXT_FIELDS {
        size, reserved, services, embedder, input, input_length, output, output_capacity, output_length, heap, heap_size,
    }
    "Services" Services as SERVICES_FIELDS { size, reserved, log, clock, call, invoke, grow, }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    extern "C" fn log(context: *mut Context<'_>, text: *const u8, length: usize) {
        // SAFETY: `Context::log` passes itself and a string's own pointer and length.
        unsafe { (*context).write(slice::from_raw_parts(text, length)) };
    }

    extern "C" fn clock(_: *mut Context<'_>) -> u64 {
        42
    }

    extern "C" fn call(_: *mut Context<'_>, arguments: *mut CallArguments<'_>) -> u32 {
        // SAFETY: `Context::call` passes arguments of its own, made from slices.
        let (arguments, name) =
            unsafe { (&*arguments, slice::from_raw_parts((*arguments).name, (*arguments).name_length)) };
        if name == b"sum" { arguments.input_length as u32 } else { CallRefusal::Busy as u32 }
    }

    static SERVICES: Services = Services::new(log, clock).with_call(call);

    #[test]
    fn carries_input_and_output() {
        let mut output = [0; 8];
        let mut context = Context::new(&SERVICES, b"in", &mut output);
        assert_eq!(context.input(), b"in");
        assert_eq!(context.write(b"12345"), 5);
        assert_eq!(context.write(b"6789"), 3);
        assert_eq!(context.output_length(), 8);
        assert!(write!(context, "full").is_err());
        assert_eq!(&output, b"12345678");
    }

    #[test]
    fn reaches_the_services() {
        let mut output = [0; 8];
        let mut context = Context::new(&SERVICES, b"", &mut output);
        context.log("line");
        assert_eq!(context.clock(), 42);
        assert_eq!(context.output_length(), 4);
    }

    extern "C" fn count_lines(context: *mut Context<'_>, _: *const u8, _: usize) {
        // SAFETY: `Context::log` passes itself; the test that uses this table has set a pointer to a number of its own.
        unsafe { *(*context).embedder().cast::<u32>() += 1 };
    }

    #[test]
    fn carries_the_embedders_pointer() {
        assert!(Context::new(&SERVICES, b"", &mut []).embedder().is_null());
        let (table, mut lines) = (Services::new(count_lines, clock), 0_u32);
        let pointer = (&raw mut lines).cast::<c_void>();
        let mut context = Context::new(&table, b"", &mut []).with_embedder(pointer).with_heap(0, 0);
        context.log("one");
        // SAFETY: zero bytes are always available.
        unsafe { context.reset_buffers(7, 0, 0) };
        context.log("two");
        assert_eq!(context.embedder(), pointer);
        assert_eq!(lines, 2);
    }

    #[test]
    fn calls_other_modules() {
        let mut context = Context::new(&SERVICES, b"in", &mut []);
        let input = context.input();
        assert_eq!(context.call("sum", b"", &mut []), Ok(CallReply { result: 0, output_length: 0 }));
        assert_eq!(context.call("sum", input, &mut []), Err(CallRefusal::NotLoaded));
        assert_eq!(context.call("other", input, &mut []), Err(CallRefusal::Busy));
        assert_eq!(
            Context::new(&Services::NONE, b"", &mut []).call("sum", b"", &mut []),
            Err(CallRefusal::NotDeclared)
        );
    }
}
