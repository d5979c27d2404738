//! A kernel that `bareflow serve` keeps up, as a place: the engines are modules of its user domain.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bareflow_abi::checksum::crc32c;
use bareflow_loader::{Budget, Domain, FaultKind};
use bareflow_protocol::control::{CONTROL_VERSION, LoadOverrides, MAX_CHUNK, Push, Refusal as Refused, RefusalCode};
use bareflow_protocol::tier::Tier;
use bareflow_protocol::{Decoder, Envelope, Message, Request, Response};

use crate::instrument::NAME;
use crate::place::{Place, Refusal};

/// The longest time between two bytes of an answer: a module takes at most a minute.
const PATIENCE: Duration = Duration::from_secs(180);

/// The engines, the tiers that they are for, and heaps that leave room for memories of 64 MiB among the addresses for images.
pub const ENGINES: [(&str, &str, u32); 2] = [("interpreter", "0", 16 << 20), ("compiler", "2", 64 << 20)];

/// A conversation with the kernel.
pub struct Connection {
    stream: UnixStream,
    decoder: Decoder,
    requests: u64,
}

impl Connection {
    /// Connects to the socket of `bareflow serve`.
    pub fn open(socket: &Path) -> Result<Connection> {
        let stream = UnixStream::connect(socket).with_context(|| {
            format!("no kernel at {}; run `bareflow serve --memory 1G --budget heap=64M,data=128M`", socket.display())
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut connection = Connection { stream, decoder: Decoder::new(), requests: 0 };
        match connection.ask(Request::Hello)? {
            Response::Welcome { control: CONTROL_VERSION, .. } => Ok(connection),
            other => bail!("the kernel answers {other:?}, expected version {CONTROL_VERSION}; build both anew"),
        }
    }

    /// Loads the engines in this folder.
    pub fn load_engines(&mut self, folder: &Path) -> Result<()> {
        for (name, _, heap_bytes) in ENGINES {
            let file = folder.join(name).with_extension("mod");
            let blob = std::fs::read(&file)
                .with_context(|| format!("no engine {}; run `bareflow build --engines`", file.display()))?;
            // Two of them do not have room beside each other.
            match self.ask(Request::Unload { module: name }) {
                Err(error) if !is_of(&error, RefusalCode::NoModule) => return Err(error),
                _ => {}
            }
            let (domain, budget) = (Some(Domain::User.name()), Some(Budget { heap_bytes, ..Budget::LIMITS }));
            self.push(&blob, LoadOverrides { domain, budget, ..LoadOverrides::default() })?;
        }
        Ok(())
    }

    fn ask(&mut self, request: Request<'_>) -> Result<Response> {
        self.requests += 1;
        let request_id = self.requests;
        self.stream.write_all(&Envelope { request_id, request }.to_frame())?;
        let mut buffer = [0; 4096];
        loop {
            while let Some(payload) = self.decoder.next_payload() {
                match Message::from_payload(&payload?)? {
                    Message::Response(id, Response::Progress { .. }) if id == request_id => {}
                    Message::Response(id, Response::Refused(refusal)) if id == request_id => return Err(refusal.into()),
                    Message::Response(id, answer) if id == request_id => return Ok(answer),
                    _ => {}
                }
            }
            let count = self.stream.read(&mut buffer).context("the kernel does not answer")?;
            ensure!(count > 0, "the kernel is gone");
            self.decoder.push(&buffer[..count]);
        }
    }

    fn push(&mut self, blob: &[u8], overrides: LoadOverrides<'_>) -> Result<()> {
        self.ask(Request::Upload { length: u32::try_from(blob.len())?, checksum: crc32c(&[blob]) })?;
        for (number, bytes) in (0..).zip(blob.chunks(MAX_CHUNK)) {
            self.ask(Request::Chunk { offset: number * MAX_CHUNK as u32, bytes })?;
        }
        self.ask(Request::Push(Push { label: "test.wasm", overrides, beside: false, gate: None })).map(drop)
    }
}

/// A kernel's domain, with code of one tier.
pub struct Kernel<'connection> {
    connection: &'connection mut Connection,
    tier: Tier,
    domain: Domain,
}

impl Kernel<'_> {
    /// Makes the place.
    pub fn new(connection: &mut Connection, tier: Tier, domain: Domain) -> Kernel<'_> {
        Kernel { connection, tier, domain }
    }

    fn push(&mut self, wasm: &[u8]) -> Result<()> {
        let overrides = LoadOverrides {
            domain: Some(self.domain.name()),
            // A fault ends an instance, and a fresh one takes its place.
            on_fault: Some("restart"),
            tier: Some(self.tier),
            ..LoadOverrides::default()
        };
        self.connection.push(wasm, overrides)
    }
}

impl Place for Kernel<'_> {
    fn load(&mut self, wasm: &[u8]) -> Result<(), Refusal> {
        let Err(error) = self.push(wasm) else { return Ok(()) };
        match error.downcast_ref::<Refused>() {
            Some(refused) if refused.error.contains("init faulted: ") => {
                Err(Refusal::Trapped(kind_in(&refused.error)?))
            }
            _ => Err(Refusal::Error(error)),
        }
    }

    fn run(&mut self, length: usize) -> Result<Result<i32, FaultKind>> {
        match self.connection.ask(Request::Call { module: NAME, input: &vec![0; length], repeat: 1 }) {
            Ok(Response::Called(called)) => Ok(Ok(called.result)),
            Ok(other) => bail!("the kernel answers {other:?}"),
            Err(error) if is_of(&error, RefusalCode::CallFailed) => Ok(Err(kind_in(&error.to_string())?)),
            Err(error) => Err(error),
        }
    }

    fn unload(&mut self) -> Result<()> {
        self.connection.ask(Request::Unload { module: NAME }).map(drop)
    }

    fn refuses(&mut self, wasm: &[u8]) -> Result<bool> {
        let Err(error) = self.push(wasm) else {
            self.unload()?;
            return Ok(false);
        };
        let Some(refused) = error.downcast_ref::<Refused>() else { return Err(error) };
        // What is valid lacks the function that each portable module has. An engine that fails refuses nothing.
        let others = ["there is no export run", " faulted: "];
        Ok(!others.iter().any(|text| refused.error.contains(text)))
    }
}

/// Returns whether an error is a refusal of this kind.
fn is_of(error: &anyhow::Error, code: RefusalCode) -> bool {
    error.downcast_ref::<Refused>().is_some_and(|refused| refused.code == code)
}

/// Returns the kind of fault that a refusal names: the longest name, since some are a part of others.
fn kind_in(text: &str) -> Result<FaultKind> {
    let named = FaultKind::ALL.iter().filter(|kind| text.contains(kind.name()));
    let longest = named.max_by_key(|kind| kind.name().len());
    longest.copied().ok_or_else(|| anyhow!("no fault is named in {text:?}"))
}
