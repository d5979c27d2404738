//! The one runner that boots kernels in QEMU. The console is COM1, the host's
//! channel COM2, the end a write to isa-debug-exit.

use std::ffi::OsString;
use std::io::{ErrorKind, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bareflow_protocol::{Decoder, Message, Report};

use crate::Problem;

/// The program.
const QEMU: &str = "qemu-system-x86_64";

/// How often is looked whether time is up.
const POLL: Duration = Duration::from_millis(50);

/// QEMU while it runs. It does not outlive the run, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A machine to boot a kernel in.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The kernel's ELF file.
    pub kernel: Vec<u8>,
    /// QEMU's machine: q35, pc or microvm.
    pub machine: String,
    /// QEMU's processor.
    pub cpu: String,
    /// QEMU's accelerator.
    pub accel: String,
    /// Whether a clock tick is an instruction.
    pub icount: bool,
    /// How long to wait for the end.
    pub timeout: Duration,
    /// How long to wait for the next message, where the kernel sends them all along.
    pub patience: Option<Duration>,
    /// The kernel's command line.
    pub command_line: String,
    /// The boot archive; none when empty.
    pub archive: Vec<u8>,
    /// Where QEMU listens for QMP, if anywhere.
    pub qmp: Option<PathBuf>,
    /// A disk to boot from instead of the kernel's ELF file.
    pub disk: Option<PathBuf>,
}

/// How a machine ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All went well.
    Passed,
    /// A test failed, a module faulted or was refused.
    Failed,
    /// The kernel itself went wrong.
    Panicked,
    /// QEMU ended by itself, with this code.
    Exited(Option<i32>),
    /// It did not end in time and was given up.
    GivenUp,
}

/// What came of a boot.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// All that the console showed.
    pub console: String,
    /// What the kernel reported.
    pub report: Option<Report>,
    /// What it said besides.
    pub messages: Vec<Message>,
    /// What QEMU said on standard error.
    pub complaints: String,
}

impl Machine {
    /// The usual machine: q35, every processor feature QEMU has, no hardware acceleration.
    #[must_use]
    pub fn new(kernel: &[u8]) -> Machine {
        Machine {
            kernel: kernel.to_vec(),
            machine: "q35".to_owned(),
            cpu: "max".to_owned(),
            accel: "tcg".to_owned(),
            icount: false,
            timeout: Duration::from_secs(60),
            patience: None,
            command_line: String::new(),
            archive: Vec::new(),
            qmp: None,
            disk: None,
        }
    }

    /// Boots and waits for the end. `show` gets the console as it comes.
    ///
    /// # Errors
    /// When QEMU can't be started.
    pub fn run(&self, mut show: impl FnMut(&[u8])) -> Result<Outcome, Problem> {
        let folder = tempfile::tempdir()?;
        let channel_path = folder.path().join("com2");
        let listener = UnixListener::bind(&channel_path)?;
        let mut qemu = Running(self.start(folder.path(), &channel_path)?);
        let (sender, receiver) = channel();
        let reader = thread::spawn(move || receive(&listener, &sender));
        let complaints = collect(qemu.0.stderr.take());
        let mut messages = Vec::new();
        let (console, in_time) = self.follow(&mut qemu.0, &mut show, &receiver, &mut messages);
        if !in_time {
            // It may have ended just now.
            let _ = qemu.0.kill();
        }
        // Whatever came of it, the listener must not wait for a QEMU that never connected.
        let _ = UnixStream::connect(&channel_path);
        let status = qemu.0.wait()?;
        reader.join().map_err(|_| "the reader of COM2 panicked")?;
        messages.extend(receiver);
        let is_report = |message: &Message| matches!(message, Message::Report(_));
        let (mut reports, messages): (Vec<_>, Vec<_>) = messages.into_iter().partition(is_report);
        let report = reports.pop().and_then(|message| match message {
            Message::Report(report) => Some(report),
            _ => None,
        });
        let complaints = String::from_utf8_lossy(&complaints.into_iter().flatten().collect::<Vec<_>>()).into_owned();
        let ending = match status.code() {
            Some(33) => Ending::Passed,
            Some(35) => Ending::Failed,
            Some(37) => Ending::Panicked,
            _ if !in_time => Ending::GivenUp,
            code => Ending::Exited(code),
        };
        Ok(Outcome { ending, console: String::from_utf8_lossy(&console).into_owned(), report, messages, complaints })
    }

    fn start(&self, folder: &Path, channel_path: &Path) -> Result<Child, Problem> {
        let mut command = Command::new(QEMU);
        command.args(self.arguments(folder, channel_path)?);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!("{QEMU} is not installed; run `make setup`").into(),
            _ => format!("can't start {QEMU}: {error}").into(),
        })
    }

    fn arguments(&self, folder: &Path, channel_path: &Path) -> Result<Vec<OsString>, Problem> {
        let mut all: Vec<OsString> = Vec::new();
        let mut add = |words: &[&str]| all.extend(words.iter().map(OsString::from));
        add(&["-machine", &self.machine, "-cpu", &self.cpu, "-accel", &self.accel, "-m", "128"]);
        add(&["-display", "none", "-no-reboot", "-chardev", "stdio,id=c1,signal=off", "-serial", "chardev:c1"]);
        add(&["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-chardev"]);
        add(&[&format!("socket,id=c2,path={}", option_value(channel_path))]);
        // microvm has one serial port of its own.
        let second = if self.machine.starts_with("microvm") {
            ["-device", "isa-serial,chardev=c2,index=1"]
        } else {
            ["-serial", "chardev:c2"]
        };
        add(&second);
        if self.icount {
            add(&["-icount", "shift=0,sleep=off"]);
        }
        if let Some(path) = &self.qmp {
            add(&["-qmp", &format!("unix:{},server=on,wait=off", option_value(path))]);
        }
        if let Some(disk) = &self.disk {
            add(&["-drive", &format!("format=raw,snapshot=on,file={}", option_value(disk))]);
            return Ok(all);
        }
        let kernel = folder.join("kernel.elf");
        std::fs::write(&kernel, &self.kernel)?;
        add(&["-kernel", &kernel.to_string_lossy(), "-append", &self.command_line]);
        if !self.archive.is_empty() {
            let archive = folder.join("boot.tar");
            std::fs::write(&archive, &self.archive)?;
            add(&["-initrd", &archive.to_string_lossy()]);
        }
        Ok(all)
    }

    /// Passes the console on until it ends, and collects messages meanwhile. Returns all of
    /// the console, and whether it ended in time.
    fn follow(
        &self,
        child: &mut Child,
        show: &mut impl FnMut(&[u8]),
        receiver: &Receiver<Message>,
        messages: &mut Vec<Message>,
    ) -> (Vec<u8>, bool) {
        let (start, mut last_sign) = (Instant::now(), Instant::now());
        let chunks = collect(child.stdout.take());
        let mut console = Vec::new();
        loop {
            match chunks.recv_timeout(POLL) {
                Ok(chunk) => {
                    show(&chunk);
                    console.extend(chunk);
                    last_sign = Instant::now();
                }
                Err(RecvTimeoutError::Disconnected) => return (console, true),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let before = messages.len();
            messages.extend(receiver.try_iter());
            if messages.len() > before {
                last_sign = Instant::now();
            }
            if start.elapsed() > self.timeout || self.patience.is_some_and(|patience| last_sign.elapsed() > patience) {
                return (console, false);
            }
        }
    }
}

impl Outcome {
    /// The report, when the kernel came to its end.
    ///
    /// # Errors
    /// When it didn't, saying what happened instead.
    pub fn into_report(self) -> Result<Report, Problem> {
        let complaints = self.complaints.trim_end();
        match (self.ending, self.report) {
            (Ending::Passed | Ending::Failed, Some(report)) => Ok(report),
            (Ending::GivenUp, _) => {
                Err("no answer in time, expected the end of the run; try a larger `--timeout`".into())
            }
            (Ending::Panicked, _) => Err("the kernel panicked; its console above shows why".into()),
            (Ending::Exited(code), _) => {
                let code = code.map_or("by a signal".to_owned(), |code| format!("with code {code}"));
                let said = if complaints.is_empty() { String::new() } else { format!("\n{complaints}") };
                let remedy = "check `--machine`, `--cpu` and `--accel`, or run `make setup`";
                Err(format!("{QEMU} ended {code}, expected the kernel to end the run; {remedy}{said}").into())
            }
            (_, None) => Err("the kernel ended without a report on COM2; boot with a machine that has the port".into()),
        }
    }
}

/// A path inside one of QEMU's option lists, where a comma is written twice.
fn option_value(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// Reads a stream to its end, chunk by chunk, in a thread of its own.
fn collect(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    if let Some(mut stream) = stream {
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count) = stream.read(&mut buffer) {
                if count == 0 || sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// Waits for QEMU on COM2's socket and passes messages on until it hangs up.
fn receive(listener: &UnixListener, sender: &Sender<Message>) {
    let Ok((mut stream, _)) = listener.accept() else { return };
    let mut decoder = Decoder::new();
    let mut buffer = [0; 4096];
    // A connection that breaks has said what it has said.
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            return;
        }
        decoder.push(&buffer[..count]);
        let payloads = std::iter::from_fn(|| decoder.next_payload()).flatten();
        let mut messages = payloads.filter_map(|payload| Message::from_payload(&payload).ok());
        if messages.any(|message| sender.send(message).is_err()) {
            return;
        }
    }
}
