//! Requests of clients to a running kernel, and its responses.
//!
//! Each [`Envelope`] travels in a frame of its own and gets one [`Response`] with its number, after any number of
//! [`Response::Progress`]. A broker between many clients and the one serial port adds a mark of the client to each
//! number.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use bareflow_loader::Budget;
use serde::{Deserialize, Serialize};

use crate::comparison::{Comparison, Gate, Verdict};
use crate::frame::{FrameError, encode_frame};
use crate::report::{Fault, Module};
use crate::tier::Tier;
use crate::trace::{Entry, TraceRequest, TraceState};

/// The version of this protocol.
pub const CONTROL_VERSION: u16 = 10;

/// The maximum size of one [`Request::Chunk`] in bytes: the amount a client sends before it waits for an answer.
pub const MAX_CHUNK: usize = 32 << 10;

/// The maximum size of a request's frame, in bytes: an input of 1 MiB and the rest of the request.
pub const MAX_REQUEST: usize = (1 << 20) + 4096;

/// The maximum size of a blob, in bytes.
pub const MAX_BLOB: u32 = 16 << 20;

/// The maximum length of a selector such as `name@^1.2`, a label or a path, in bytes.
pub const MAX_WORD: usize = 255;

/// The maximum length of the lines that set parameters and bind imports, in bytes.
pub const MAX_PARAMETERS: usize = 16 << 10;

/// The number of bits of a request's id that belong to its client; the bits above are the broker's mark.
pub const CLIENT_BITS: u32 = 32;

/// A request, with the id that its answer will carry.
///
/// It borrows from the payload, so that decoding never allocates, whatever the sender announces.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope<'payload> {
    /// The id: the broker's mark in the upper half, the client's own number in the lower one.
    pub request_id: u64,
    /// The request.
    #[serde(borrow)]
    pub request: Request<'payload>,
}

impl<'payload> Envelope<'payload> {
    /// Encodes the request as a frame; empty if it is too long for a frame.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        postcard::to_allocvec(self).ok().and_then(|payload| encode_frame(&payload)).unwrap_or_default()
    }

    /// Decodes the request in a frame's payload.
    ///
    /// # Errors
    /// [`FrameError::Payload`] if it is no request, or has bytes left over.
    pub fn from_payload(payload: &'payload [u8]) -> Result<Envelope<'payload>, FrameError> {
        match postcard::take_from_bytes(payload) {
            Ok((envelope, [])) => Ok(envelope),
            _ => Err(FrameError::Payload { length: payload.len() }),
        }
    }

    /// Returns a frame of the request in `payload` with another id; the other bytes are unchanged.
    ///
    /// `None` if the payload is no request, or too long.
    #[must_use]
    pub fn with_request_id(payload: &[u8], request_id: u64) -> Option<Vec<u8>> {
        let mut renumbered = payload.to_vec();
        if Envelope::renumber(&mut renumbered, request_id) { encode_frame(&renumbered) } else { None }
    }

    /// Gives the request in `payload` another id. Returns false if it is no request, or there is no memory.
    #[must_use]
    pub fn renumber(payload: &mut Vec<u8>, request_id: u64) -> bool {
        let mut room = [0; 10];
        let Ok(number) = postcard::to_slice(&request_id, &mut room) else { return false };
        let Ok((_, rest)) = postcard::take_from_bytes::<u64>(payload) else { return false };
        let old = payload.len() - rest.len();
        let has_room = payload.try_reserve(number.len()).is_ok();
        if has_room {
            payload.splice(..old, number.iter().copied());
        }
        has_room
    }

    /// Decodes only the id of a request from the start of its payload; 0 if there is none.
    #[must_use]
    pub fn request_id_in(head: &[u8]) -> u64 {
        postcard::take_from_bytes(head).map_or(0, |(request_id, _)| request_id)
    }

    /// Returns the broker's mark of the client; 0 without a broker.
    #[must_use]
    pub const fn client(&self) -> u32 {
        (self.request_id >> CLIENT_BITS) as u32
    }
}

/// A request of a client.
#[expect(clippy::large_enum_variant, reason = "a box would be memory that the kernel may not have")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request<'payload> {
    /// Begin a session, and discard the client's unfinished uploads and jobs. Response: [`Response::Welcome`].
    Hello,
    /// End a session, and discard the client's unfinished uploads and jobs. Response: [`Response::Done`].
    Goodbye,
    /// List the modules. Response: [`Response::Modules`].
    Ps,
    /// List the modules matched by `name` or `name@version`, or all, with diagnoses. Response: [`Response::Modules`].
    Stats {
        /// The selector.
        #[serde(borrow)]
        module: Option<&'payload str>,
    },
    /// Announce a blob that will be sent in chunks. Response: [`Response::Received`].
    Upload {
        /// The length of the blob, in bytes.
        length: u32,
        /// The CRC-32C of the blob.
        checksum: u32,
    },
    /// Send a part of the blob; sending it again has no effect. Response: [`Response::Received`].
    Chunk {
        /// The offset of the part.
        offset: u32,
        /// The bytes of the part, at most [`MAX_CHUNK`].
        #[serde(borrow)]
        bytes: &'payload [u8],
    },
    /// Load the uploaded blob. Response: [`Response::Loaded`] or [`Response::GateFailed`].
    Push(#[serde(borrow)] Push<'payload>),
    /// Load a file from the disk. Response: [`Response::Loaded`].
    Load {
        /// The file's path, such as `/modules/sum.mod`.
        path: &'payload str,
        /// The options of the load.
        #[serde(borrow)]
        overrides: LoadOverrides<'payload>,
    },
    /// List the files of a folder on the disk. Response: [`Response::Files`].
    Ls {
        /// The folder's path.
        path: &'payload str,
    },
    /// Write a module's blob to the disk, so that it is loaded at the next boot. Response: [`Response::Saved`].
    Save {
        /// The selector: `name` or `name@version`.
        module: &'payload str,
    },
    /// Call a module, or a function that it exports. Response: [`Response::Called`].
    Call {
        /// The selector: `name` or `name@version`, or `name[.interface].function[@version]`.
        module: &'payload str,
        /// The input of each call; of a method, the packed form of its frame, input and output, of which zeros at the
        /// end may be missing.
        #[serde(borrow)]
        input: &'payload [u8],
        /// The number of calls.
        repeat: u32,
    },
    /// Unload a module. Response: [`Response::Unloaded`].
    Unload {
        /// The selector: `name` or `name@version`.
        module: &'payload str,
    },
    /// Make a module the active version of its name. Response: [`Response::Done`].
    Activate {
        /// The selector: `name@version`.
        module: &'payload str,
    },
    /// Compare two modules or plain functions. Response: [`Response::Compared`].
    Compare {
        /// The two selectors, as in [`Request::Call`].
        #[serde(borrow)]
        modules: [&'payload str; 2],
        /// The input of both.
        #[serde(borrow)]
        input: &'payload [u8],
        /// The number of measurements of each.
        over: u32,
    },
    /// Read the console's lines from a number on. Response: [`Response::Log`].
    Log {
        /// The number of the first line.
        from: u64,
    },
    /// Shut the kernel down. Response: [`Response::Done`].
    Shutdown,
    /// Report the memory in use. Response: [`Response::Memory`].
    Memory,
    /// List the imports and exports of the modules matched by `name` or `name@version`, or of all that have any, and the
    /// interfaces that the kernel itself provides.
    /// Response: [`Response::Interfaces`].
    Interfaces {
        /// The selector.
        #[serde(borrow)]
        module: Option<&'payload str>,
    },
    /// Begin, read or end a trace; one client at a time has one. Response: see [`TraceRequest`].
    Trace(TraceRequest),
    /// Give a module a fresh image and a fresh state. Response: [`Response::Done`].
    Restart {
        /// The selector: `name` or `name@version`.
        module: &'payload str,
    },
    /// List the devices. Response: [`Response::Devices`].
    Devices,
    /// Show the token of the kernel, where clients come by modules. Response: [`Response::Done`].
    Token {
        /// The token.
        token: [u8; 16],
    },
}

/// The options of a push, which loads an uploaded blob.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Push<'payload> {
    /// The blob's name in messages: that of the file.
    pub label: &'payload str,
    /// The load options.
    #[serde(borrow)]
    pub overrides: LoadOverrides<'payload>,
    /// Whether the module is loaded beside the active one of its name, instead of replacing it.
    pub beside: bool,
    /// The conditions under which it may replace the old module.
    #[serde(borrow)]
    pub gate: Option<Gate<'payload>>,
}

/// Load options.
///
/// An unset field is inherited from the module of the same name, or else defaults to the kernel's setting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadOverrides<'payload> {
    /// The domain: `kernel` or `user`.
    #[serde(borrow)]
    pub domain: Option<&'payload str>,
    /// The limits on its budget.
    pub budget: Option<Budget>,
    /// The action after a fault, as [`FaultPolicy::parse`](bareflow_loader::FaultPolicy::parse) reads it.
    #[serde(borrow)]
    pub on_fault: Option<&'payload str>,
    /// The parameters to set and the imports to bind, one [`Assignment`](bareflow_loader::Assignment) on each line, at
    /// most [`MAX_PARAMETERS`] bytes.
    ///
    /// Those that are not named are inherited one by one.
    pub parameters: &'payload str,
    /// The tier of a portable module.
    pub tier: Option<Tier>,
}

/// A response to a client.
#[expect(clippy::large_enum_variant, reason = "a box would be memory that the kernel may not have")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Response {
    /// The answer to [`Request::Hello`].
    Welcome {
        /// The protocol version, [`CONTROL_VERSION`].
        control: u16,
        /// The kernel's version.
        version: Cow<'static, str>,
        /// The clock: `tsc`, or `icount` if a tick is an instruction.
        clock: Cow<'static, str>,
    },
    /// A part of an upload was received.
    Received {
        /// The number of bytes received from the start, without a gap.
        length: u32,
    },
    /// The modules, in the order of their names.
    Modules(Vec<Module>),
    /// The module was loaded.
    Loaded(Loaded),
    /// The conditions did not hold, and the module was unloaded.
    GateFailed(Verdict),
    /// The module was called.
    Called(Called),
    /// The module was unloaded.
    Unloaded(Receipt),
    /// The files.
    Files(FileList),
    /// The blob was written.
    Saved {
        /// The file's path.
        path: String,
        /// The file's length, in bytes.
        bytes: u64,
    },
    /// The comparison.
    Compared(Comparison),
    /// Lines of the console.
    Log {
        /// The number of the first line; higher than requested if older lines are gone.
        first: u64,
        /// The lines.
        lines: Vec<String>,
    },
    /// The progress of a job; the answer itself follows later.
    Progress {
        /// The amount that is done.
        done: u64,
        /// The total amount.
        of: u64,
    },
    /// The request was carried out.
    Done,
    /// The request was refused, and there is no result.
    ///
    /// A request is carried out entirely or not at all. But modules that it called, including their `init`, may have
    /// changed their own state before they faulted, and the consequences of a fault for them remain.
    Refused(Refusal),
    /// The memory in use; zeros if it is not counted.
    Memory {
        /// The number of pages of modules and the kernel.
        pages: u64,
        /// The memory in pages that images share, in bytes.
        arena_bytes: u64,
        /// The size of the kernel's heap in use, in bytes.
        table_bytes: u64,
    },
    /// The modules with imports or exports, in the order of their names.
    Interfaces(Vec<Interfaces>),
    /// A trace began, or ended.
    Trace(TraceState),
    /// A part of a trace; empty if there is no more yet.
    TraceEntries {
        /// The number of the first entry; higher than requested if older ones were overwritten.
        first: u64,
        /// The entries, at most [`MAX_ENTRIES`](crate::trace::MAX_ENTRIES).
        entries: Vec<Entry>,
    },
    /// The devices, in the order of their places.
    Devices(Vec<Device>),
}

/// The reason for which a request was refused: a text for people, and a code for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// A text that says what was found, what was expected, and what to do.
    pub error: Cow<'static, str>,
    /// The kind of the reason.
    pub code: RefusalCode,
    /// The number of the call that failed, counted from 1, if the request was for calls and some were made.
    pub call: Option<u32>,
}

/// The kind of a refusal's reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalCode {
    /// Anything that has no code of its own.
    Refused,
    /// The bytes are no request.
    NoRequest,
    /// No module matches the selector.
    NoModule,
    /// The module can't be loaded.
    LoadFailed,
    /// The module gave no result.
    CallFailed,
    /// There is no memory for what was requested.
    NoMemory,
    /// The module has no such function.
    NoFunction,
    /// The client has no trace, or it has ended.
    NoTrace,
    /// A client traces already.
    Tracing,
    /// The client has not shown the kernel's token.
    WrongToken,
}

impl Refusal {
    /// Creates a refusal of one kind.
    pub fn new(code: RefusalCode, error: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { error: error.into(), code, call: None }
    }
}

impl From<Cow<'static, str>> for Refusal {
    fn from(error: Cow<'static, str>) -> Refusal {
        Refusal::new(RefusalCode::Refused, error)
    }
}

impl From<&'static str> for Refusal {
    fn from(error: &'static str) -> Refusal {
        Refusal::new(RefusalCode::Refused, error)
    }
}

/// The result of a load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// The module's name.
    pub name: String,
    /// The module's version.
    pub version: String,
    /// The number of times this name has been loaded, this load included.
    pub generation: u32,
    /// Whether the module is the active version of its name.
    pub active: bool,
    /// The module that it replaced.
    pub replaced: Option<Replaced>,
    /// The result of the state transfer: `none`, `kept` or `migrated`.
    pub state: Cow<'static, str>,
    /// The cost of each step, in cycles of the kernel's clock.
    pub cycles: LoadCycles,
    /// The result of the gate, if there was one.
    pub verdict: Option<Verdict>,
}

/// The cost of a load, in cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadCycles {
    /// The time to check the blob, place it and call its `init`.
    pub prepare: u64,
    /// The time to switch from the old module to the new one.
    pub switch: u64,
}

/// A module that was replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replaced {
    /// The module's version.
    pub version: String,
    /// The module's generation.
    pub generation: u32,
    /// The receipt; `None` as long as a call of the module is running.
    pub receipt: Option<Receipt>,
}

/// The receipt of an unloaded module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The module's name.
    pub name: String,
    /// The module's version.
    pub version: String,
    /// The module's generation.
    pub generation: u32,
    /// The number of its calls, including those that faulted.
    pub call_count: u64,
    /// The number of pages that it had been given: segments, stack, heap, page tables.
    pub pages_held: u64,
    /// The number of pages that came back.
    pub pages_returned: u64,
    /// The memory in pages shared with other images that it had been given, in bytes.
    pub arena_bytes_held: u64,
    /// The memory in such pages that came back, in bytes.
    pub arena_bytes_returned: u64,
    /// The memory in the loader's tables that it used, in bytes.
    pub table_bytes_held: u64,
    /// The memory in the loader's tables that came back, in bytes.
    pub table_bytes_returned: u64,
    /// The size of its heap, in bytes.
    pub heap_bytes: u64,
    /// The number of blocks that it had not freed in its heap.
    pub leaked_blocks: u64,
    /// The size of these blocks in bytes. They were freed with the heap.
    pub leaked_bytes: u64,
    /// The number of modules that it might call.
    pub bindings: u32,
    /// The fault that ended its `exit`.
    pub exit_fault: Option<Fault>,
}

/// The result of calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Called {
    /// The module's name.
    pub name: String,
    /// The version that answered last.
    pub version: String,
    /// The module's generation.
    pub generation: u32,
    /// The number of calls.
    pub calls: u64,
    /// The result of the last call; of a method, the number of its status.
    pub result: i32,
    /// The results and their counts, for a limited number of different results.
    pub results: Vec<(i32, u64)>,
    /// The output of the last call; of a method, that of its packed frame.
    pub output: Vec<u8>,
    /// The cycles of all calls, including the cost of measuring.
    pub total_cycles: u64,
    /// The shortest call.
    pub min_cycles: u64,
    /// The longest call.
    pub max_cycles: u64,
}

/// The imports and exports of a module, or an interface that the kernel itself provides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interfaces {
    /// The module's name.
    pub name: String,
    /// The module's version; empty for one of the kernel's own.
    pub version: String,
    /// The module's generation.
    pub generation: u32,
    /// Whether it is the active version of its name.
    pub active: bool,
    /// The record of its imports and exports, as it is in the blob.
    pub bindings: Vec<u8>,
    /// The signatures of its methods, as they are in the blob; empty if they were stripped.
    pub signatures: Vec<u8>,
    /// The provider of each import, in the order of the record.
    pub providers: Vec<Option<ProviderName>>,
}

/// The provider of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderName {
    /// The name: a module's, or one of the kernel's own.
    pub name: String,
    /// The module's version; `None` if the kernel itself provides it.
    pub version: Option<String>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The place: bus, device and function on PCI, or the address of the registers.
    pub place: String,
    /// The device as modules declare it: `virtio:net`, or vendor and number.
    pub device: String,
    /// The class of PCI: `0200`.
    pub class: String,
    /// The memory that it reaches whatever its driver does: `checked`, `iommu` or `trusted`.
    pub reach: Cow<'static, str>,
    /// The way in which it is noticed: `interrupt` or `polled`.
    pub interrupt: Cow<'static, str>,
    /// The module that has it, if any.
    pub owner: Option<String>,
    /// The state: `free`, `claimed`, `open`, `broken` if it broke the rules of its queues, `lost` if it could not be stopped, or
    /// `kernel` if the kernel itself drives it.
    pub state: Cow<'static, str>,
    /// The number of regions that it uses.
    pub regions: u32,
    /// The number of times that the IOMMU kept it from memory.
    pub faults: u64,
    /// The reason why no one can use it, if there is one.
    pub problem: Option<Cow<'static, str>>,
}

/// The files of a folder on the disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileList {
    /// The files that could be read.
    pub files: Vec<File>,
    /// The error that kept the rest of the folder from being read, if any.
    pub cut: Option<String>,
}

/// A file on the disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// The file's name.
    pub name: String,
    /// The file's length, in bytes.
    pub bytes: u64,
    /// Whether it is a folder.
    pub folder: bool,
    /// The problem that keeps it from being read, if one is known.
    pub problem: Option<String>,
    /// The module's name in the header, if it is a blob.
    pub module: Option<String>,
    /// The module's version.
    pub version: Option<String>,
}
