//! What a client asks of a running kernel, and what it gets.
//!
//! Each [`Envelope`] travels in a frame of its own and gets one [`Response`] with its
//! number, after any number of [`Response::Progress`]. Between many clients and
//! the one serial port stands a broker, which marks each number with its client.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::comparison::{Comparison, Gate, Verdict};
use crate::frame::{FrameError, encode_frame};
use crate::report::{Budget, Fault, Module};

/// The version of this conversation.
pub const CONTROL_VERSION: u16 = 4;

/// Most bytes of one [`Request::Chunk`]: what a client sends before it waits for an answer.
pub const MAX_CHUNK: usize = 32 << 10;

/// Most bytes of a frame that carries a request: an input of a megabyte and what goes with it.
pub const MAX_REQUEST: usize = (1 << 20) + 4096;

/// Most bytes of one blob.
pub const MAX_BLOB: u32 = 16 << 20;

/// Most bytes of a selector, such as `name@^1.2`, of a label, and of a path.
pub const MAX_WORD: usize = 255;

/// Bits of a request's number that are its client's own; those above are the broker's mark.
pub const NUMBER_BITS: u32 = 32;

/// A request, with the number that its answer will carry. It borrows what is in the payload, so that
/// decoding it takes no memory, whatever its sender makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope<'payload> {
    /// The number: the broker's mark in the upper half, the client's own in the lower one.
    pub number: u64,
    /// The request.
    #[serde(borrow)]
    pub request: Request<'payload>,
}

impl<'payload> Envelope<'payload> {
    /// The request as a frame; empty when it is longer than a frame can be.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        postcard::to_allocvec(self).ok().and_then(|payload| encode_frame(&payload)).unwrap_or_default()
    }

    /// The request in a frame's payload.
    ///
    /// # Errors
    /// [`FrameError::Payload`] when it is none, or has bytes left over.
    pub fn from_payload(payload: &'payload [u8]) -> Result<Envelope<'payload>, FrameError> {
        match postcard::take_from_bytes(payload) {
            Ok((envelope, [])) => Ok(envelope),
            _ => Err(FrameError::Payload { length: payload.len() }),
        }
    }

    /// Returns the frame of the request in `payload`, with another number; all else stays byte by byte as it is.
    /// `None` where the payload is none, or too long.
    #[must_use]
    pub fn renumbered(payload: &[u8], number: u64) -> Option<Vec<u8>> {
        let (_, rest) = postcard::take_from_bytes::<u64>(payload).ok()?;
        let mut renumbered = postcard::to_allocvec(&number).ok()?;
        renumbered.extend_from_slice(rest);
        encode_frame(&renumbered)
    }

    /// Reads the number alone, of a request whose payload begins so; 0 where that is none.
    #[must_use]
    pub fn number_in(head: &[u8]) -> u64 {
        postcard::take_from_bytes(head).map_or(0, |(number, _)| number)
    }

    /// The broker's mark of the client that asks; 0 without a broker.
    #[must_use]
    pub const fn client(&self) -> u32 {
        (self.number >> NUMBER_BITS) as u32
    }
}

/// What a client asks for.
#[expect(clippy::large_enum_variant, reason = "a box would be memory that the kernel may not have")]
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Request<'payload> {
    /// Begin: forget what this client left half done. Response: [`Response::Welcome`].
    Hello,
    /// This client is gone: forget what it left half done. Response: [`Response::Done`].
    Goodbye,
    /// The modules. Response: [`Response::Modules`].
    Ps,
    /// The modules of that name or `name@version`, all when none is named, with what is known of faults. Response:
    /// [`Response::Modules`].
    Stats {
        /// Which.
        #[serde(borrow)]
        module: Option<&'payload str>,
    },
    /// A blob of so many bytes will come in chunks. Response: [`Response::Received`].
    Upload {
        /// Bytes.
        length: u32,
        /// CRC-32C of all of them.
        checksum: u32,
    },
    /// A part of the blob; sending it again changes nothing. Response: [`Response::Received`].
    Chunk {
        /// Where it begins.
        offset: u32,
        /// At most [`MAX_CHUNK`] bytes.
        #[serde(borrow)]
        bytes: &'payload [u8],
    },
    /// Load the blob that came. Response: [`Response::Loaded`] or [`Response::GateFailed`].
    Push(#[serde(borrow)] Push<'payload>),
    /// Load a file from the disk. Response: [`Response::Loaded`].
    Load {
        /// Its path, such as `/modules/sum.mod`.
        path: &'payload str,
        /// How.
        #[serde(borrow)]
        overrides: LoadOverrides<'payload>,
    },
    /// The files of a folder on the disk. Response: [`Response::Files`].
    Ls {
        /// The folder's path.
        path: &'payload str,
    },
    /// Write a module's blob to the disk, so that it is there at the next boot. Response: [`Response::Saved`].
    Save {
        /// Which: `name` or `name@version`.
        module: &'payload str,
    },
    /// Call a module. Response: [`Response::Called`].
    Call {
        /// Which: `name` or `name@version`.
        module: &'payload str,
        /// What it is given.
        #[serde(borrow)]
        input: &'payload [u8],
        /// How often.
        repeat: u32,
    },
    /// Unload a module. Response: [`Response::Unloaded`].
    Unload {
        /// Which: `name` or `name@version`.
        module: &'payload str,
    },
    /// Make a module the one that its name stands for. Response: [`Response::Done`].
    Activate {
        /// Which: `name@version`.
        module: &'payload str,
    },
    /// Run two modules side by side. Response: [`Response::Compared`].
    Compare {
        /// The two: `name` or `name@version`.
        #[serde(borrow)]
        modules: [&'payload str; 2],
        /// What both are given.
        #[serde(borrow)]
        input: &'payload [u8],
        /// How many measurements are taken of each.
        over: u32,
    },
    /// The console's lines from that number on. Response: [`Response::Log`].
    Log {
        /// Number of the first line wanted.
        from: u64,
    },
    /// End the kernel. Response: [`Response::Done`].
    Shutdown,
    /// What is in use of the memory. Response: [`Response::Memory`].
    Memory,
}

/// How a blob that came is to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Push<'payload> {
    /// What messages call it: the file's name.
    pub label: &'payload str,
    /// How its module runs.
    #[serde(borrow)]
    pub overrides: LoadOverrides<'payload>,
    /// Whether it is loaded beside the one of its name, instead of in its place.
    pub beside: bool,
    /// What it has to prove before it takes the other one's place.
    #[serde(borrow)]
    pub gate: Option<Gate<'payload>>,
}

/// How a module is to run. What is not said stays as it is with the module of
/// its name, or else is the kernel's usual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadOverrides<'payload> {
    /// `kernel` or `user`.
    #[serde(borrow)]
    pub domain: Option<&'payload str>,
    /// The most it may use up.
    pub budget: Option<Budget>,
    /// `stop`, `restart` or `restart:N`.
    #[serde(borrow)]
    pub on_fault: Option<&'payload str>,
}

/// What a client gets.
#[expect(clippy::large_enum_variant, reason = "a box would be memory that the kernel may not have")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Response {
    /// To [`Request::Hello`].
    Welcome {
        /// [`CONTROL_VERSION`].
        control: u16,
        /// The kernel's version.
        version: Cow<'static, str>,
        /// `tsc`, or `icount` where a tick is an instruction.
        clock: Cow<'static, str>,
    },
    /// So many bytes of the upload are there.
    Received {
        /// Bytes from its beginning, without a gap.
        length: u32,
    },
    /// The modules, in the order of their names.
    Modules(Vec<Module>),
    /// The module was loaded.
    Loaded(Loaded),
    /// The module did not prove itself, and was unloaded.
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
        /// Its length.
        bytes: u64,
    },
    /// The comparison.
    Compared(Comparison),
    /// The console's lines.
    Log {
        /// Number of the first line here; higher than was asked for where older ones are gone.
        first: u64,
        /// The lines.
        lines: Vec<String>,
    },
    /// How far it is; the answer itself is still to come.
    Progress {
        /// So much is done.
        done: u64,
        /// Of so much.
        of: u64,
    },
    /// It is done.
    Done,
    /// There is no result. What a request asks for is done whole or not at all; but modules that it called, `init`
    /// included, may have changed their own state before they faulted, and what a fault does to them is done.
    Refused {
        /// What was found, what was expected, and what to do.
        error: Cow<'static, str>,
    },
    /// What is in use of the memory; zeros where nobody counts.
    Memory {
        /// Pages that modules and the kernel have.
        pages: u64,
        /// Bytes of pages that images share.
        arena_bytes: u64,
        /// Bytes of the kernel's heap.
        table_bytes: u64,
    },
}

/// A module was loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The how-manieth load of that name it is.
    pub generation: u32,
    /// Whether its name now stands for it.
    pub active: bool,
    /// What it took the place of.
    pub replaced: Option<Replaced>,
    /// What became of the module's state: `none`, `kept` or `migrated`.
    pub state: Cow<'static, str>,
    /// What each step took, in the kernel's clock.
    pub cycles: LoadCycles,
    /// What it proved, where that was asked for.
    pub verdict: Option<Verdict>,
}

/// What loading took, in cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadCycles {
    /// Checking the blob, giving it memory and calling its `init`.
    pub prepare: u64,
    /// Putting it in the other one's place.
    pub switch: u64,
}

/// A module that another one took the place of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replaced {
    /// Its version.
    pub version: String,
    /// Its generation.
    pub generation: u32,
    /// What it gave back; nothing yet while a call of it is under way.
    pub receipt: Option<Receipt>,
}

/// What a module that was unloaded gave back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its generation.
    pub generation: u32,
    /// Calls of it, those that faulted included.
    pub call_count: u64,
    /// Pages it had been given: segments, stack, heap, page tables.
    pub pages_held: u64,
    /// Pages it gave back.
    pub pages_returned: u64,
    /// Bytes of pages it shared with others.
    pub arena_bytes_held: u64,
    /// Bytes of such that came back.
    pub arena_bytes_returned: u64,
    /// Bytes the loader's tables had grown by for it.
    pub table_bytes_held: u64,
    /// Bytes they gave back.
    pub table_bytes_returned: u64,
    /// Bytes of its own heap.
    pub heap_bytes: u64,
    /// Blocks it had not freed there when it ended.
    pub leaked_blocks: u64,
    /// Their bytes. They went with the heap.
    pub leaked_bytes: u64,
    /// Modules it was bound to.
    pub bindings: u32,
    /// The fault its `exit` ended in.
    pub exit_fault: Option<Fault>,
}

/// A module was called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Called {
    /// Its name.
    pub name: String,
    /// The version that answered last.
    pub version: String,
    /// Its generation.
    pub generation: u32,
    /// How many calls there were.
    pub calls: u64,
    /// What the last one returned.
    pub result: i32,
    /// What they returned, and how often; the first so many different values.
    pub results: Vec<(i32, u64)>,
    /// What the last one wrote.
    pub output: Vec<u8>,
    /// Cycles of all calls, the cost of measuring included.
    pub total_cycles: u64,
    /// The cheapest call.
    pub min_cycles: u64,
    /// The dearest call.
    pub max_cycles: u64,
}

/// The files of a folder on the disk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileList {
    /// Those that are known.
    pub files: Vec<File>,
    /// What kept the rest of the folder from being read, if anything.
    pub cut: Option<String>,
}

/// A file on the disk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Whether it is a folder.
    pub folder: bool,
    /// What keeps it from being read, if anything is known to.
    pub problem: Option<String>,
    /// The module that it holds by its header, if it is a blob.
    pub module: Option<String>,
    /// That module's version.
    pub version: Option<String>,
}
