//! A fake kernel at the other end of the channel, and a broker in front of it.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use bareflow::client::Client;
use bareflow::serve::{Socket, broker};
use bareflow_abi::checksum::crc32c;
use bareflow_protocol::comparison::{Arm, Comparison, Judged, Verdict};
use bareflow_protocol::control::{
    CONTROL_VERSION, Called, File, FileList, LoadCycles, Loaded, Receipt, Refusal, RefusalCode, Replaced,
};
use bareflow_protocol::{Decoder, Envelope, Message, Request, Response};
use tempfile::TempDir;

/// The size of the fake kernel's console text, in bytes.
pub const LOG_LINE: usize = 32 << 10;

/// The requests that the fake kernel received, for tests to check.
#[derive(Debug, Default)]
pub struct Seen {
    /// The marks of clients that have left.
    pub goodbyes: Vec<u32>,
    /// The number of blobs that were pushed.
    pub pushes: u32,
}

/// The upload of one client.
type Upload = (u32, u32, Vec<u8>);

/// A fake kernel with a broker, which has a socket of its own.
pub struct Bench {
    folder: TempDir,
    /// The requests that the kernel received.
    pub seen: Arc<Mutex<Seen>>,
    threads: Vec<JoinHandle<()>>,
}

impl Bench {
    /// Starts the kernel and the broker.
    pub fn start() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let socket = Socket::bind(&folder.path().join("s")).unwrap();
        let (host, kernel) = UnixStream::pair().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let told = Arc::clone(&seen);
        let threads = vec![
            spawn(move || broker::run(socket.listener(), &host).unwrap()),
            spawn(move || answer_all(&mut { kernel }, &told)),
        ];
        Bench { folder, seen, threads }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    pub fn raw(&self) -> UnixStream {
        UnixStream::connect(self.socket()).unwrap()
    }

    pub fn client(&self) -> Client {
        Client::greet(Box::new(self.raw()), Path::new("test"), Duration::from_secs(20)).unwrap()
    }

    /// Waits until `done` returns true for the received requests.
    #[track_caller]
    pub fn wait(&self, done: impl Fn(&Seen) -> bool) {
        let start = Instant::now();
        while !done(&self.seen.lock().unwrap()) {
            assert!(start.elapsed() < Duration::from_secs(20), "{:?}", self.seen.lock().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the kernel and waits for the broker's end.
    pub fn end(self) {
        assert!(matches!(self.client().ask(Request::Shutdown), Ok(Response::Done)));
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(!self.folder.path().join("s").exists(), "the socket is removed");
    }
}

/// Answers requests until a shutdown, or until the connection ends.
pub fn answer_all(stream: &mut (impl Read + Write), seen: &Mutex<Seen>) {
    let mut kernel = Kernel::default();
    let welcome = || Response::Welcome { control: CONTROL_VERSION, version: "0.0.0".into(), clock: "tsc".into() };
    // Clients wait for the kernel's first message.
    std::thread::sleep(Duration::from_millis(20));
    stream.write_all(&Message::Response(0, welcome()).to_frame()).unwrap();
    let (mut decoder, mut buffer) = (Decoder::new(), vec![0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => decoder.push(&buffer[..count]),
            // After half a frame and then silence, the rest is lost, perhaps because the length was damaged.
            Err(error) if error.kind() == ErrorKind::TimedOut => decoder = Decoder::new(),
            Err(_) => return,
        }
        while let Some(payload) = decoder.next_payload() {
            let asked = match payload.as_deref().map_err(|error| *error).and_then(Envelope::from_payload) {
                Ok(asked) => asked,
                Err(error) => {
                    let refused = Response::Refused(Refusal::new(RefusalCode::NoRequest, error.to_string()));
                    stream.write_all(&Message::Response(0, refused).to_frame()).unwrap();
                    continue;
                }
            };
            let mut seen = seen.lock().unwrap();
            let (mark, number) = (asked.client(), asked.request_id);
            let last = asked.request == Request::Shutdown;
            for answer in kernel.answer(mark, asked.request, &mut seen) {
                stream.write_all(&Message::Response(number, answer).to_frame()).unwrap();
            }
            if last {
                return;
            }
        }
    }
}

#[derive(Default)]
struct Kernel {
    uploads: HashMap<u32, Upload>,
    loads: u32,
}

impl Kernel {
    fn answer(&mut self, mark: u32, request: Request<'_>, seen: &mut Seen) -> Vec<Response> {
        let refused = |error: &str| Response::Refused(Refusal::new(RefusalCode::Refused, error.to_owned()));
        vec![match request {
            Request::Hello => {
                Response::Welcome { control: CONTROL_VERSION, version: "0.0.0".into(), clock: "tsc".into() }
            }
            Request::Goodbye => {
                self.uploads.remove(&mark);
                seen.goodbyes.push(mark);
                Response::Done
            }
            Request::Ps | Request::Stats { .. } => Response::Modules(Vec::new()),
            Request::Memory => Response::Memory { pages: 1, arena_bytes: 3, table_bytes: 2 },
            Request::Upload { length, checksum } => {
                self.uploads.insert(mark, (length, checksum, Vec::new()));
                Response::Received { length: 0 }
            }
            Request::Chunk { offset, bytes } => match self.uploads.get_mut(&mark) {
                Some((_, _, there)) => {
                    if there.len() == offset as usize {
                        there.extend(bytes);
                    }
                    Response::Received { length: there.len() as u32 }
                }
                None => refused("a chunk without an upload"),
            },
            Request::Push(push) => match self.uploads.remove(&mark) {
                Some((length, checksum, bytes)) if bytes.len() as u32 == length && crc32c(&[&bytes]) == checksum => {
                    seen.pushes += 1;
                    self.loads += 1;
                    match push.gate {
                        Some(gate) if gate.conditions.asked() > 1 => Response::GateFailed(verdict()),
                        _ => Response::Loaded(self.loaded(push.label)),
                    }
                }
                _ => refused("no whole blob is there, expected one by Upload and Chunk; push it again"),
            },
            Request::Call { module: "nobody", .. } => refused("no module nobody is loaded; see `ps`"),
            Request::Call { module, input, repeat } => {
                let called = Called {
                    name: module.to_owned(),
                    version: "1.0.0".into(),
                    generation: 1,
                    results: vec![(input.len() as i32, repeat.into())],
                    calls: repeat.into(),
                    result: input.len() as i32,
                    output: input.to_vec(),
                    total_cycles: 70,
                    min_cycles: 20,
                    max_cycles: 30,
                };
                return vec![Response::Progress { done: 1, of: 2 }, Response::Called(called)];
            }
            Request::Unload { module } => Response::Unloaded(receipt(module)),
            Request::Compare { .. } => Response::Compared(verdict().comparison),
            Request::Log { from } => Response::Log { first: from.max(2), lines: vec!["x".repeat(LOG_LINE)] },
            Request::Ls { .. } => {
                let (module, version) = (Some("sum".into()), Some("1.0.0".into()));
                let name = "sum.mod".into();
                let files = vec![File { name, bytes: 134, folder: false, problem: None, module, version }];
                Response::Files(FileList { files, cut: Some("the folder is damaged".into()) })
            }
            Request::Save { module } => Response::Saved { path: format!("/modules/{module}.mod"), bytes: 134 },
            Request::Load { .. } => Response::Loaded(self.loaded("/sum.mod")),
            _ => Response::Done,
        }]
    }

    fn loaded(&self, label: &str) -> Loaded {
        let name = Path::new(label).file_stem().unwrap().to_string_lossy().into_owned();
        let receipt = Some(receipt(&name));
        Loaded {
            name,
            version: "1.0.0".into(),
            generation: self.loads + 1,
            active: true,
            replaced: Some(Replaced { version: "1.0.0".into(), generation: self.loads, receipt }),
            state: "none".into(),
            cycles: LoadCycles { prepare: 900, switch: 80 },
            verdict: None,
        }
    }
}

fn receipt(name: &str) -> Receipt {
    Receipt {
        name: name.into(),
        version: "1.0.0".into(),
        generation: 1,
        call_count: 3,
        pages_held: 5,
        pages_returned: 5,
        arena_bytes_held: 192,
        arena_bytes_returned: 192,
        table_bytes_held: 812,
        table_bytes_returned: 812,
        heap_bytes: 0,
        leaked_blocks: 0,
        leaked_bytes: 0,
        bindings: 0,
        exit_fault: None,
    }
}

fn verdict() -> Verdict {
    let side = || Arm {
        name: "sum".into(),
        version: "1.0.0".into(),
        generation: 1,
        batch: 1,
        measurements: 10,
        cycles: [1.0; 5],
        histogram: Vec::new(),
        fault: None,
    };
    let comparison =
        Comparison { sides: [side(), side()], ratios: vec![Some(1.0); 5], outputs_equal: true, difference: None };
    let conditions = vec![Judged { condition: "p99<=0.5".into(), held: false, found: "p99 1 times".into() }];
    Verdict { passed: false, conditions, comparison }
}
