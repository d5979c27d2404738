//! The server in this process: the host's platform runs the modules, and messages of clients go through memory.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write};
use std::time::Instant;

use bareflow_abi::checksum::crc32c;
use bareflow_host::HostPlatform;
use bareflow_loader::{KernelDomain, ModuleManager, Timing};
use bareflow_protocol::control::{Called, Envelope, FileList, LoadOverrides, Loaded, MAX_CHUNK, Push, Refusal};
use bareflow_protocol::{Decoder, Message, Request, Response};
use bareflow_server::{Server, ServerEnvironment};
use bareflow_suite::console::{Console, Style};
use bareflow_suite::fallible::ErrorText;
use bareflow_suite::load_defaults::LoadDefaults;

/// The server's environment.
pub struct Memory {
    start: Instant,
    sent: RefCell<Vec<u8>>,
    /// The console's text.
    pub console: RefCell<String>,
}

impl Console for Memory {
    fn show(&self, _: Style, text: fmt::Arguments<'_>) {
        let _ = self.console.borrow_mut().write_fmt(text);
    }
}

impl ServerEnvironment for Memory {
    fn send(&self, bytes: &[u8]) {
        self.sent.borrow_mut().extend_from_slice(bytes);
    }
    fn milliseconds(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
    fn clock_name(&self) -> &'static str {
        "tsc"
    }
    fn log(&self, from: u64) -> Result<(u64, Vec<String>), ErrorText> {
        Ok((from, self.console.borrow().lines().skip(from as usize).map(str::to_owned).collect()))
    }
    fn files(&self, _: &str) -> Result<FileList, ErrorText> {
        Err("no disk".into())
    }
    fn read(&self, _: &str) -> Result<Vec<u8>, ErrorText> {
        Err("no disk".into())
    }
    fn save(&self, _: &str, _: &[u8]) -> Result<String, ErrorText> {
        Err("no disk".into())
    }
}

/// A client with a server of its own.
pub struct Local {
    pub server: Server<'static, HostPlatform, Memory>,
    decoder: RefCell<Decoder>,
    number: Cell<u64>,
}

impl Local {
    /// Makes a server without modules that loads them with `options`.
    pub fn new(options: impl Into<LoadDefaults<'static>>) -> Local {
        let platform = HostPlatform::new(Box::new(|_| ())).unwrap();
        let memory = Memory { start: Instant::now(), sent: RefCell::default(), console: RefCell::default() };
        // SAFETY: the tests' blobs are built here; invalid ones are refused.
        let trusted = unsafe { KernelDomain::trust_all_blobs() };
        let server =
            Server::new(ModuleManager::with_kernel_domain(platform, Timing::Fast, trusted), memory, options).unwrap();
        Local { server, decoder: RefCell::default(), number: Cell::new(0) }
    }

    /// Makes room for the server's messages, so that they need no allocation later.
    pub fn reserve(&self) {
        self.server.environment().sent.borrow_mut().reserve(1 << 20);
        self.server.environment().console.borrow_mut().reserve(1 << 20);
    }

    /// Returns all responses since the last call.
    pub fn answers(&self) -> Vec<(u64, Response)> {
        let mut decoder = self.decoder.borrow_mut();
        let mut sent = self.server.environment().sent.borrow_mut();
        decoder.push(&sent);
        sent.clear();
        let payloads = std::iter::from_fn(|| decoder.next_payload()).map(Result::unwrap);
        payloads
            .map(|payload| match Message::from_payload(&payload).unwrap() {
                Message::Response(number, answer) => (number, answer),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    /// Passes the bytes of a client to the server, carries out what it asks for, and returns the bytes for it.
    pub fn exchange(&self, bytes: &[u8]) -> Vec<u8> {
        self.server.receive(bytes);
        while self.server.poll() {}
        self.server.environment().sent.take()
    }

    /// Carries out all that there is to do.
    pub fn work(&self) {
        while self.server.poll() {}
    }

    /// Sends a request, and waits for the response.
    pub fn ask(&self, request: Request<'_>) -> Response {
        let number = self.number.get() + 1;
        self.number.set(number);
        self.server.receive(&Envelope { request_id: number, request }.to_frame());
        loop {
            let mut answers = self.answers().into_iter().filter(|(to, _)| *to == number);
            if let Some((_, answer)) =
                answers.next_back().filter(|(_, answer)| !matches!(answer, Response::Progress { .. }))
            {
                return answer;
            }
            assert!(self.server.poll(), "no answer, and nothing to do");
            self.server.run_events(false);
        }
    }

    /// Uploads a blob and pushes it.
    pub fn push<'push>(&self, blob: &[u8], change: impl FnOnce(&mut Push<'push>)) -> Response {
        self.upload(blob);
        let mut push = Push { label: "test.mod", overrides: LoadOverrides::default(), beside: false, gate: None };
        change(&mut push);
        self.ask(Request::Push(push))
    }

    /// Uploads a blob.
    pub fn upload(&self, blob: &[u8]) {
        self.ask(Request::Upload { length: blob.len() as u32, checksum: crc32c(&[blob]) });
        for (index, chunk) in blob.chunks(MAX_CHUNK).enumerate() {
            self.ask(Request::Chunk { offset: (index * MAX_CHUNK) as u32, bytes: chunk });
        }
    }

    /// Uploads and pushes a blob, which must succeed.
    #[track_caller]
    pub fn load(&self, blob: &[u8]) -> Loaded {
        match self.push(blob, |_| ()) {
            Response::Loaded(loaded) => loaded,
            other => panic!("{other:?}"),
        }
    }

    /// Calls a module once.
    #[track_caller]
    pub fn call(&self, module: &str, input: &[u8]) -> Called {
        match self.ask(Request::Call { module, input, repeat: 1 }) {
            Response::Called(called) => called,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a request that must be refused, and returns the reason.
    #[track_caller]
    pub fn refused(&self, request: Request<'_>) -> String {
        refusal(self.ask(request))
    }
}

/// Returns the reason of a refusal.
#[track_caller]
pub fn refusal(answer: Response) -> String {
    match answer {
        Response::Refused(Refusal { error, .. }) => error.into_owned(),
        other => panic!("not refused: {other:?}"),
    }
}
