//! Answers what clients ask of a running kernel: lists, loads, replaces, calls,
//! compares and unloads modules.
//!
//! Requests arrive as bytes ([`Server::receive`]) and are answered at once, but
//! for those that take their time: these become jobs, of which [`Server::step`]
//! carries out a slice at a time, so that no client waits for another one's.
//! Everything works through `&self`: a request may arrive while a call is under way.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod answers;
mod call;
mod first;
mod gate;
mod jobs;
mod library;
mod outputs;
mod push;
mod requests;
mod tell;
mod uploads;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::fmt;

use bareflow_loader::report::Style;
use bareflow_loader::{LoadOptions, ModuleManager, Platform};
use bareflow_protocol::control::{Asked, File, MAX_REQUEST};
use bareflow_protocol::{Answer, Decoder, Message};

use first::Waiting;
use jobs::Job;
use library::Library;
use outputs::Outputs;
use uploads::Uploads;

/// Bytes of memory that stay free whatever clients send: more than one request and its answer take.
const HEADROOM: usize = 6 << 20;

/// Whether there is memory left for what clients want to have kept.
pub(crate) fn has_room() -> bool {
    Vec::<u8>::new().try_reserve_exact(HEADROOM).is_ok()
}

/// What is said where there is not.
pub(crate) const NO_ROOM: &str = "no memory for that; unload a module or give the system more memory";

/// How long the rest of a frame may take, in milliseconds.
const HALF_A_FRAME: u64 = 1000;

/// What a server needs besides its modules.
pub trait Surroundings {
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
    fn log(&self, from: u64) -> (u64, Vec<String>);

    /// The files of a folder on the disk.
    ///
    /// # Errors
    /// Why there are none to be had.
    fn files(&self, path: &str) -> Result<Vec<File>, String>;

    /// A file's bytes.
    ///
    /// # Errors
    /// Why there are none to be had.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// Writes a module's blob to the disk, and says where it lies.
    ///
    /// # Errors
    /// Why it could not be written; then what was there before is there still.
    fn save(&self, name: &str, blob: &[u8]) -> Result<String, String>;
}

/// The server.
pub struct Server<'blobs, P: Platform, S: Surroundings> {
    manager: ModuleManager<P>,
    around: S,
    /// How modules are loaded where nothing else is said.
    defaults: LoadOptions,
    decoder: RefCell<Decoder>,
    /// When bytes came last.
    last_came: Cell<u64>,
    uploads: RefCell<Uploads>,
    library: RefCell<Library<'blobs>>,
    outputs: RefCell<Outputs>,
    jobs: RefCell<VecDeque<Job<P>>>,
    /// Blobs of the start that miss another module.
    waiting: RefCell<Vec<Waiting<'blobs>>>,
    ended: Cell<bool>,
    /// Whose job is under way, and whether that client left meanwhile.
    current: Cell<Option<u32>>,
    cancelled: Cell<bool>,
}

impl<'blobs, P: Platform, S: Surroundings> Server<'blobs, P, S> {
    /// A server of these modules.
    pub fn new(manager: ModuleManager<P>, around: S, defaults: LoadOptions) -> Server<'blobs, P, S> {
        Server {
            manager,
            around,
            defaults,
            decoder: RefCell::new(Decoder::with_limit(MAX_REQUEST)),
            last_came: Cell::new(0),
            uploads: RefCell::new(Uploads::default()),
            library: RefCell::new(Library::default()),
            outputs: RefCell::new(Outputs::new()),
            jobs: RefCell::new(VecDeque::new()),
            waiting: RefCell::new(Vec::new()),
            ended: Cell::new(false),
            current: Cell::new(None),
            cancelled: Cell::new(false),
        }
    }

    /// The modules.
    pub const fn manager(&self) -> &ModuleManager<P> {
        &self.manager
    }

    /// What the server was given besides.
    pub const fn surroundings(&self) -> &S {
        &self.around
    }

    /// Whether a client asked for the end.
    pub fn has_ended(&self) -> bool {
        self.ended.get()
    }

    /// Says, unasked, that clients can begin: a [`Answer::Welcome`] to number 0.
    pub fn announce(&self) {
        self.answer(0, self.welcome());
    }

    /// Takes bytes as they arrive, and answers the requests that are complete.
    pub fn receive(&self, bytes: &[u8]) {
        self.last_came.set(self.around.milliseconds());
        self.decoder.borrow_mut().push(bytes);
        self.answer_all();
    }

    /// Whether the rest of a frame is to come.
    pub fn is_receiving(&self) -> bool {
        self.decoder.borrow().unfinished() > 0
    }

    /// Gives up a frame whose rest does not come, so that it swallows no later one: on a line that loses bytes.
    pub(crate) fn give_up_half_a_frame(&self) {
        let waited = self.around.milliseconds().saturating_sub(self.last_came.get());
        if waited >= HALF_A_FRAME && self.is_receiving() {
            self.last_came.set(self.around.milliseconds());
            self.decoder.borrow_mut().give_up();
            self.answer_all();
        }
    }

    fn answer_all(&self) {
        loop {
            let payload = self.decoder.borrow_mut().next_payload();
            match payload {
                None => return,
                Some(payload) => match payload.and_then(|payload| Asked::from_payload(&payload)) {
                    Ok(asked) => self.handle(asked),
                    // Nobody knows whose that was.
                    Err(error) => self.refuse(0, &error),
                },
            }
        }
    }

    fn answer(&self, number: u64, answer: Answer) {
        self.around.send(&Message::Answer(number, answer).to_frame());
    }

    fn refuse(&self, number: u64, error: &dyn fmt::Display) {
        self.answer(number, Answer::Refused { error: alloc::format!("{error}") });
    }
}
