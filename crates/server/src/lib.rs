//! The server of a running kernel: lists, loads, replaces, calls, compares and unloads modules on request of clients.
//!
//! Requests arrive as bytes ([`Server::receive`]) and are answered at once, except long-running ones. These become
//! jobs, of which [`Server::poll`] carries out a slice at a time, so that no client waits for another one's job. All
//! methods take `&self`, since a request may arrive while a call is running.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod blob_store;
mod call;
mod devices;
mod events;
mod functions;
mod gate;
mod interfaces;
mod jobs;
mod links;
mod outputs;
mod push;
mod receipts;
mod requested_options;
mod requests;
mod ring;
mod running;
mod startup;
mod supervision;
mod task;
#[cfg(feature = "portable")]
mod tiers;
mod time_slice;
mod trace;
mod uploads;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use bareflow_loader::{ModuleManager, Platform};
use bareflow_protocol::control::{Envelope, FileList, MAX_REQUEST, Refusal, RefusalCode};
use bareflow_protocol::{Decoder, FrameError, Message, Response, write_frame};
use bareflow_suite::console::Console;
use bareflow_suite::fallible::{ErrorText, NoMemory};
use bareflow_suite::load_defaults::LoadDefaults;
use bareflow_suite::{OUTPUT_CAPACITY, error_text};

use blob_store::BlobStore;
use jobs::{JOB_CAPACITY, Job};
use links::own_number;
use outputs::Outputs;
use running::Running;
use startup::PendingLoad;
#[cfg(feature = "portable")]
use tiers::Ascents;
use trace::Trace;
use uploads::Uploads;

pub use links::{Access, Links};
pub use ring::Ring;
pub use trace::Tracer;

/// The free memory below which nothing more is kept, in bytes, so that listing and unloading modules still works.
///
/// Even if it is used up, requests are only refused one by one: every allocation in this crate is fallible.
const HEADROOM: usize = 6 << 20;

/// Checks that there is memory left for data that clients want to be kept.
pub(crate) fn room() -> Result<(), NoMemory> {
    Ok(Vec::<u8>::new().try_reserve_exact(HEADROOM)?)
}

/// The maximum number of loaded modules, including the copies for comparisons.
pub const MAX_MODULES: usize = 4096;

/// The size of the answer buffer, in bytes.
///
/// It has room for most answers, and for every refusal and every result of a call. So a call that was made is never
/// answered by a refusal for lack of memory.
const FRAME_BYTES: usize = OUTPUT_CAPACITY + (16 << 10);

/// The maximum number of bytes that are received at once.
const RECEIVE_BYTES: usize = 4096;

/// The time that the rest of a frame may take to arrive, in milliseconds.
const FRAME_TIMEOUT_MS: u64 = 1000;

/// The environment of a server besides its modules, which is its console as well.
pub trait ServerEnvironment: Console {
    /// Sends bytes to the clients.
    fn send(&self, bytes: &[u8]);

    /// Returns the milliseconds since some point in the past.
    fn milliseconds(&self) -> u64;

    /// Returns whether a request may run module code now. Otherwise such requests wait.
    fn may_run_modules(&self) -> bool {
        true
    }

    /// Returns the name of the clock: `tsc`, or `icount` if a tick is an instruction.
    fn clock_name(&self) -> &'static str;

    /// Returns the part of the kernel that traces; by default there is none.
    fn tracer(&self) -> Option<&dyn Tracer> {
        None
    }

    /// Returns the console's lines from the number `from` on, and the number of the first one.
    ///
    /// # Errors
    /// The reason for which they are not available.
    fn log(&self, from: u64) -> Result<(u64, Vec<String>), ErrorText>;

    /// Returns the files of a folder on the disk, as far as it can be read.
    ///
    /// # Errors
    /// The reason for which they are not available.
    fn files(&self, path: &str) -> Result<FileList, ErrorText>;

    /// Returns the bytes of a file.
    ///
    /// # Errors
    /// The reason for which they are not available.
    fn read(&self, path: &str) -> Result<Vec<u8>, ErrorText>;

    /// Writes a module's blob to the disk. Returns its path.
    ///
    /// # Errors
    /// The reason for which it could not be written. An existing file is unchanged.
    fn save(&self, name: &str, blob: &[u8]) -> Result<String, ErrorText>;
}

/// The server.
pub struct Server<'blobs, P: Platform, S: ServerEnvironment> {
    manager: ModuleManager<P>,
    environment: S,
    /// The options of loads that set none themselves.
    defaults: LoadDefaults<'blobs>,
    /// The parameters that loads during startup set, and the imports that they bind, one on each line.
    parameters: &'blobs str,
    decoder: RefCell<Decoder>,
    /// The time at which bytes last arrived.
    last_came: Cell<u64>,
    uploads: RefCell<Uploads>,
    store: RefCell<BlobStore<'blobs, P>>,
    outputs: RefCell<Outputs>,
    /// The buffer for the frames of answers.
    frame: RefCell<Vec<u8>>,
    jobs: RefCell<VecDeque<Job<P>>>,
    /// The blobs that wait for their dependencies during startup.
    pending: RefCell<Vec<PendingLoad<'blobs, P>>>,
    ended: Cell<bool>,
    /// The clients that come by modules, if there may be any.
    links: Option<&'static spin::Mutex<Links>>,
    running: Running,
    #[cfg(feature = "portable")]
    ascents: Ascents,
    /// The last trace, unless its client has left.
    trace: Cell<Option<Trace>>,
}

impl<'blobs, P: Platform, S: ServerEnvironment> Server<'blobs, P, S> {
    /// Creates a server for the modules of `manager`.
    ///
    /// Allocates the memory that every request needs: for the request, its answer, outputs and waiting jobs.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn new(
        manager: ModuleManager<P>,
        environment: S,
        defaults: impl Into<LoadDefaults<'blobs>>,
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
            defaults: defaults.into(),
            parameters: "",
            decoder: RefCell::new(decoder),
            last_came: Cell::new(0),
            uploads: RefCell::new(Uploads::default()),
            store: RefCell::new(BlobStore::default()),
            outputs: RefCell::new(Outputs::new()?),
            frame: RefCell::new(frame),
            jobs: RefCell::new(jobs),
            pending: RefCell::new(Vec::new()),
            ended: Cell::new(false),
            links: None,
            running: Running::default(),
            #[cfg(feature = "portable")]
            ascents: Ascents::new(),
            trace: Cell::new(None),
        })
    }

    /// Returns the same server, whose loads during startup set what is in `lines`.
    #[must_use]
    pub fn with_parameters(self, lines: &'blobs str) -> Server<'blobs, P, S> {
        Server { parameters: lines, ..self }
    }

    /// Returns the same server, which answers clients that come by modules as well.
    #[must_use]
    pub fn with_links(self, links: &'static spin::Mutex<Links>) -> Server<'blobs, P, S> {
        Server { links: Some(links), ..self }
    }

    /// Returns the module manager.
    pub const fn manager(&self) -> &ModuleManager<P> {
        &self.manager
    }

    /// Returns the manager for what runs module code.
    ///
    /// Meanwhile requests may arrive, and events are due: no part of the server may be borrowed.
    pub(crate) fn unborrowed(&self) -> &ModuleManager<P> {
        debug_assert!(self.is_unborrowed(), "a part of the server is borrowed while a module runs");
        &self.manager
    }

    fn is_unborrowed(&self) -> bool {
        let Server { decoder, uploads, store, outputs, frame, jobs, pending, .. } = self;
        decoder.try_borrow_mut().is_ok()
            && uploads.try_borrow_mut().is_ok()
            && store.try_borrow_mut().is_ok()
            && outputs.try_borrow_mut().is_ok()
            && frame.try_borrow_mut().is_ok()
            && jobs.try_borrow_mut().is_ok()
            && pending.try_borrow_mut().is_ok()
    }

    /// Returns the environment.
    pub const fn environment(&self) -> &S {
        &self.environment
    }

    /// Returns whether a client asked for shutdown.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Announces to clients that they can begin: sends an unrequested [`Response::Welcome`] with number 0.
    pub fn announce(&self) {
        self.answer(0, self.welcome());
    }

    /// Receives bytes as they arrive, and answers the requests that are complete.
    pub fn receive(&self, bytes: &[u8]) {
        self.last_came.set(self.environment.milliseconds());
        for piece in bytes.chunks(RECEIVE_BYTES) {
            self.decoder.borrow_mut().push(piece);
            self.answer_all();
        }
    }

    /// Returns whether the rest of a frame is still to come.
    pub fn is_receiving(&self) -> bool {
        self.decoder.borrow().unfinished() > 0
    }

    /// Gives up an incomplete frame after a timeout.
    ///
    /// Otherwise it would swallow the next frame on a line that loses bytes.
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
                Some(Err(error)) => {
                    let (request_id, refusal) = refusal_of(&error);
                    self.refuse(request_id, refusal);
                }
            }
        }
    }

    /// Sends an answer, or a refusal if there is no memory for it.
    fn answer(&self, request_id: u64, answer: Response) {
        let message = Message::Response(own_number(request_id), answer);
        let mut frame = self.frame.borrow_mut();
        // A frame that does not fit the buffer gets memory of its own, which is freed afterwards.
        let within = frame.capacity();
        if write_frame(&mut frame, &message, within).is_ok() {
            self.send(request_id, &frame);
            if let Message::Response(_, answer) = message {
                self.recycle(answer);
            }
            return;
        }
        let mut long = Vec::new();
        let error = match write_frame(&mut long, &message, usize::MAX) {
            Ok(()) => return self.send(request_id, &long),
            Err(FrameError::NoMemory { .. }) => NoMemory.into(),
            Err(_) => TOO_LONG.into(),
        };
        // A refusal fits: see `FRAME_BYTES`.
        let refusal = Message::Response(own_number(request_id), Response::Refused(error));
        if write_frame(&mut frame, &refusal, within).is_ok() {
            self.send(request_id, &frame);
        }
    }

    /// Takes back the output buffer that an answer carried.
    fn recycle(&self, answer: Response) {
        if let Response::Called(called) = answer {
            self.outputs.borrow_mut().take_back(called.output);
        }
    }

    fn refuse(&self, request_id: u64, refusal: Refusal) {
        self.answer(request_id, Response::Refused(refusal));
    }
}

/// Returns the refusal of what is no request, or has no memory, with the request's number as far as it is known.
fn refusal_of(error: &FrameError) -> (u64, Refusal) {
    let (request_id, code) = match error {
        FrameError::NoMemory { head, .. } => (Envelope::request_id_in(head), RefusalCode::NoMemory),
        _ => (0, RefusalCode::NoRequest),
    };
    (request_id, Refusal::new(code, error_text!("{error}")))
}

/// The error for an answer that is longer than a frame can be.
const TOO_LONG: &str = "the answer is longer than a frame can be; ask for less, such as one module";

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use bareflow_host::HostPlatform;
    use bareflow_loader::{LoadOptions, Timing};
    use bareflow_suite::console::Style;
    use core::fmt;
    use std::boxed::Box;

    /// An environment that has nothing.
    pub struct Nothing;

    impl Console for Nothing {
        fn show(&self, _: Style, _: fmt::Arguments<'_>) {}
    }

    impl ServerEnvironment for Nothing {
        fn send(&self, _: &[u8]) {}
        fn milliseconds(&self) -> u64 {
            0
        }
        fn clock_name(&self) -> &'static str {
            "tsc"
        }
        fn log(&self, _: u64) -> Result<(u64, Vec<String>), ErrorText> {
            Err("none".into())
        }
        fn files(&self, _: &str) -> Result<FileList, ErrorText> {
            Err("none".into())
        }
        fn read(&self, _: &str) -> Result<Vec<u8>, ErrorText> {
            Err("none".into())
        }
        fn save(&self, _: &str, _: &[u8]) -> Result<String, ErrorText> {
            Err("none".into())
        }
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "a part of the server is borrowed while a module runs")]
    fn no_module_runs_while_a_part_is_borrowed() {
        let platform = HostPlatform::new(Box::new(|_| ())).unwrap();
        let manager = ModuleManager::new(platform, Timing::Fast);
        let server = Server::new(manager, Nothing, LoadOptions::default()).unwrap();
        assert_eq!(server.run_events(false).called, 0);
        let _borrowed = server.outputs.borrow_mut();
        server.run_events(false);
    }
}
