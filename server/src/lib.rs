//! Answers what clients ask of a running kernel: lists, loads, replaces, calls,
//! compares and unloads modules.
//!
//! Requests arrive as bytes ([`Server::receive`]) and are answered at once, but
//! for those that take their time: these become jobs, of which [`Server::poll`]
//! carries out a slice at a time, so that no client waits for another one's.
//! Everything works through `&self`: a request may arrive while a call is under way.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod answers;
mod blob_store;
mod call;
mod events;
mod gate;
mod jobs;
mod outputs;
mod push;
mod requests;
mod startup;
mod uploads;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;

use bareflow_loader::report::Style;
use bareflow_loader::{LoadOptions, ModuleManager, Platform};
use bareflow_protocol::control::{Envelope, FileList, MAX_REQUEST};
use bareflow_protocol::{Decoder, FrameError, Message, Response, write_frame};
use bareflow_suite::fallible::{ErrorText, NO_MEMORY, NoMemory};
use bareflow_suite::{OUTPUT_CAPACITY, error_text};

use blob_store::BlobStore;
use jobs::{JOB_CAPACITY, Job};
use outputs::Outputs;
use startup::PendingLoad;
use uploads::Uploads;

/// Bytes of memory that nothing is kept in, so that there is some to look around and to unload with. Where it
/// is used up all the same, requests are refused one by one: nothing here takes memory without asking.
const HEADROOM: usize = 6 << 20;

/// Checks that there is memory left for what clients want to have kept.
pub(crate) fn room() -> Result<(), NoMemory> {
    Ok(Vec::<u8>::new().try_reserve_exact(HEADROOM)?)
}

/// Modules that may be loaded at once, the copies for comparisons included.
pub const MAX_MODULES: usize = 4096;

/// Bytes of the frame that most answers fit into, and that a refusal and what came of a call always do: a call
/// that was made is never answered by a refusal for want of memory.
const FRAME_BYTES: usize = OUTPUT_CAPACITY + (16 << 10);

/// Bytes that are received at once, at the most.
const RECEIVE_BYTES: usize = 4096;

/// How long the rest of a frame may take, in milliseconds.
const FRAME_TIMEOUT_MS: u64 = 1000;

/// What a server needs besides its modules.
pub trait ServerEnvironment {
    /// Sends bytes to the clients.
    fn send(&self, bytes: &[u8]);

    /// Milliseconds since some point in the past.
    fn milliseconds(&self) -> u64;

    /// Whether a request may run code of modules now. Otherwise those that would wait.
    fn may_run_modules(&self) -> bool {
        true
    }

    /// `tsc`, or `icount` where a tick of the clock is an instruction.
    fn clock_name(&self) -> &'static str;

    /// Shows text to whoever looks at the console.
    fn say(&self, style: Style, text: fmt::Arguments<'_>);

    /// The console's lines from that number on, and the number of the first of them.
    ///
    /// # Errors
    /// Why there are none to be had.
    fn log(&self, from: u64) -> Result<(u64, Vec<String>), ErrorText>;

    /// The files of a folder on the disk, as far as it can be read.
    ///
    /// # Errors
    /// Why there are none to be had.
    fn files(&self, path: &str) -> Result<FileList, ErrorText>;

    /// A file's bytes.
    ///
    /// # Errors
    /// Why there are none to be had.
    fn read(&self, path: &str) -> Result<Vec<u8>, ErrorText>;

    /// Writes a module's blob to the disk, and says where it lies.
    ///
    /// # Errors
    /// Why it could not be written; then what was there before is there still.
    fn save(&self, name: &str, blob: &[u8]) -> Result<String, ErrorText>;
}

/// The server.
pub struct Server<'blobs, P: Platform, S: ServerEnvironment> {
    manager: ModuleManager<P>,
    environment: S,
    /// How modules are loaded where nothing else is said.
    defaults: LoadOptions,
    decoder: RefCell<Decoder>,
    /// When bytes came last.
    last_came: Cell<u64>,
    uploads: RefCell<Uploads>,
    store: RefCell<BlobStore<'blobs>>,
    outputs: RefCell<Outputs>,
    /// The frame that answers are written to.
    frame: RefCell<Vec<u8>>,
    jobs: RefCell<VecDeque<Job<P>>>,
    /// Blobs of the start that miss another module.
    pending: RefCell<Vec<PendingLoad<'blobs>>>,
    ended: Cell<bool>,
    /// Whose job is under way, and whether that client left meanwhile.
    current: Cell<Option<u32>>,
    cancelled: Cell<bool>,
}

impl<'blobs, P: Platform, S: ServerEnvironment> Server<'blobs, P, S> {
    /// A server of these modules. What every request needs is taken now: memory for a request on its way, for
    /// an answer, for outputs and for jobs that wait.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn new(
        manager: ModuleManager<P>,
        environment: S,
        defaults: LoadOptions,
    ) -> Result<Server<'blobs, P, S>, NoMemory> {
        let mut decoder = Decoder::with_limit(MAX_REQUEST);
        decoder.reserve(RECEIVE_BYTES)?;
        let mut frame = Vec::new();
        frame.try_reserve_exact(FRAME_BYTES)?;
        let mut jobs = VecDeque::new();
        jobs.try_reserve_exact(JOB_CAPACITY)?;
        Ok(Server {
            manager,
            environment,
            defaults,
            decoder: RefCell::new(decoder),
            last_came: Cell::new(0),
            uploads: RefCell::new(Uploads::default()),
            store: RefCell::new(BlobStore::default()),
            outputs: RefCell::new(Outputs::new()?),
            frame: RefCell::new(frame),
            jobs: RefCell::new(jobs),
            pending: RefCell::new(Vec::new()),
            ended: Cell::new(false),
            current: Cell::new(None),
            cancelled: Cell::new(false),
        })
    }

    /// The modules.
    pub const fn manager(&self) -> &ModuleManager<P> {
        &self.manager
    }

    /// What the server was given besides.
    pub const fn environment(&self) -> &S {
        &self.environment
    }

    /// Whether a client asked for the end.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Says, unasked, that clients can begin: a [`Response::Welcome`] to number 0.
    pub fn announce(&self) {
        self.answer(0, self.welcome());
    }

    /// Takes bytes as they arrive, and answers the requests that are complete.
    pub fn receive(&self, bytes: &[u8]) {
        self.last_came.set(self.environment.milliseconds());
        for piece in bytes.chunks(RECEIVE_BYTES) {
            self.decoder.borrow_mut().push(piece);
            self.answer_all();
        }
    }

    /// Whether the rest of a frame is to come.
    pub fn is_receiving(&self) -> bool {
        self.decoder.borrow().unfinished() > 0
    }

    /// Gives up a frame whose rest does not come, so that it swallows no later one: on a line that loses bytes.
    pub(crate) fn resync(&self) {
        let waited = self.environment.milliseconds().saturating_sub(self.last_came.get());
        if waited >= FRAME_TIMEOUT_MS && self.is_receiving() {
            self.last_came.set(self.environment.milliseconds());
            self.decoder.borrow_mut().give_up();
            self.answer_all();
        }
    }

    fn answer_all(&self) {
        loop {
            let payload = self.decoder.borrow_mut().next_payload();
            match payload {
                None => return,
                Some(Ok(payload)) => self.handle(payload),
                Some(Err(error @ FrameError::NoMemory { head, .. })) => {
                    self.refuse(Envelope::number_in(&head), error_text!("{error}"));
                }
                Some(Err(error)) => self.refuse(0, error_text!("{error}")),
            }
        }
    }

    /// Sends an answer; where there is no memory for it, that is the answer.
    fn answer(&self, number: u64, answer: Response) {
        let message = Message::Response(number, answer);
        let mut frame = self.frame.borrow_mut();
        // What does not fit gets memory of its own, which goes with it.
        let within = frame.capacity();
        if write_frame(&mut frame, &message, within).is_ok() {
            self.environment.send(&frame);
            if let Message::Response(_, answer) = message {
                self.recycle(answer);
            }
            return;
        }
        let mut long = Vec::new();
        let error = match write_frame(&mut long, &message, usize::MAX) {
            Ok(()) => return self.environment.send(&long),
            Err(FrameError::NoMemory { .. }) => NO_MEMORY,
            Err(_) => TOO_LONG,
        };
        // It fits: see `FRAME_BYTES`.
        if write_frame(&mut frame, &Message::Response(number, Response::Refused { error: error.into() }), within)
            .is_ok()
        {
            self.environment.send(&frame);
        }
    }

    /// Takes back the buffer that an answer brought a call's output in.
    fn recycle(&self, answer: Response) {
        if let Response::Called(called) = answer {
            self.outputs.borrow_mut().take_back(called.output);
        }
    }

    fn refuse(&self, number: u64, error: ErrorText) {
        self.answer(number, Response::Refused { error });
    }
}

/// What is said where an answer is longer than a frame can be.
const TOO_LONG: &str = "the answer is longer than a frame can be; ask for less, such as one module";
