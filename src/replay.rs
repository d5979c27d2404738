//! The `host --replay` command: repeats a recording's calls in this process, with the services' recorded answers.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Error, Result, anyhow, bail, ensure};
use bareflow_abi::call::CALL_OK;
use bareflow_abi::interface::bindings::Entries;
use bareflow_abi::interface::{
    CallError, FIRST_FUNCTION, Frame, MAX_WORDS, PIECE_ALIGNMENT, Reply, Shape, Side, Status,
};
use bareflow_abi::{CallRefusal, Interface, Reason};
use bareflow_host::{HostPlatform, Image};
use bareflow_loader::placed::PlacedModule;
use bareflow_loader::records::bindings;
use bareflow_loader::valid::Capabilities;
use bareflow_loader::{
    Budget, CallFailure, CallOutcome, Callees, Domain, Name, Placement, Platform, Printable, RawModule, ValidModule,
};
use bareflow_protocol::recording::{End, Event, RecordedCall, RecordedModule, Recording};
use bareflow_regions::Regions;
use bareflow_suite::archive::Archive;

use crate::in_process::kernel_domain;
use crate::input_files::{InputFiles, label};
use crate::{Exit, embedded, say};

/// The largest capacity for output that a recorded call may have, in bytes.
const MOST: u32 = 64 << 20;

/// Runs the command, with the embedded modules and `files`.
///
/// # Errors
/// When the recording can't be read or is invalid, or its modules are missing.
pub fn replay(path: &Path, files: &InputFiles) -> Result<Exit> {
    let shown = label(path);
    let bytes =
        std::fs::read(path).map_err(|error| anyhow!("{shown}: can't read: {error}; name a file of `boot --record`"))?;
    let recording = Recording::from_bytes(&bytes).map_err(|error| anyhow!("{shown}: {error}"))?;
    let cursor = Rc::new(RefCell::new(RecordingCursor::default()));
    let (lines, clock) = (Rc::clone(&cursor), Rc::clone(&cursor));
    let log = Box::new(move |line: std::fmt::Arguments<'_>| lines.borrow_mut().log(&line.to_string()));
    let platform = HostPlatform::with_clock(log, Box::new(move || clock.borrow_mut().clock()))
        .map_err(|error| anyhow!("can't prepare this process for modules: {error}"))?;
    let archive = Archive::read(embedded::MODULES).map_err(Error::msg)?;
    let own = archive.blobs.iter().map(|source| source.bytes);
    let blobs: Vec<_> = own.chain(files.blobs.iter().map(|(_, bytes)| bytes.as_slice())).collect();
    let (mut left_out, mut left_out_calls) = (0, 0);
    for module in
        recording.modules.iter().filter(|module| recording.calls.iter().any(|call| call.module == module.name))
    {
        let blob = blob_of(module, &blobs)?;
        if imports_regions(blob) {
            let RecordedModule { name, version, .. } = module;
            say!("[SKIP] {name} {version} is not replayable: it imports regions, which others may have written to");
            left_out += 1;
            left_out_calls += recording.calls.iter().filter(|call| call.module == *name).count();
            continue;
        }
        let calls = recording.calls.iter().enumerate().filter(|(_, call)| call.module == module.name);
        let replay = Replay { platform: &platform, cursor: &cursor, module, blob };
        if let Some(Found { number, of_all, difference }) = replay.run(calls)? {
            say!("[DIFF] call {number} of {}, {of_all} of the recording: {difference}", module.name);
            return Ok(Exit::Failed);
        }
    }
    let cut = if recording.cut { "; the recording was cut, since there was no room for more" } else { "" };
    let (calls, modules) = (recording.calls.len() - left_out_calls, recording.modules.len() - left_out);
    say!("[OK] {calls} calls of {modules} modules replayed, no difference{cut}");
    Ok(Exit::Passed)
}

/// Returns whether a module shares memory: a recording does not have what others wrote there.
fn imports_regions(blob: &[u8]) -> bool {
    let raw = RawModule::parse(blob);
    raw.is_ok_and(|raw| bindings(raw.records).imports().any(|import| import.interface == <dyn Regions>::NAME))
}

/// Returns the blob of a recorded module.
fn blob_of<'blob>(module: &RecordedModule, blobs: &[&'blob [u8]]) -> Result<&'blob [u8]> {
    let named: Vec<_> = blobs
        .iter()
        .filter_map(|blob| Some((*blob, RawModule::parse(blob).ok()?.header())))
        .filter(|(_, header)| header.name_bytes() == module.name.as_bytes())
        .collect();
    let version = |header: &bareflow_abi::header::Header| bareflow_loader::Version::of(header).to_string();
    let fits = |blob: &[u8], header| version(header) == module.version && blob.len() as u64 == module.blob_size;
    if let Some((blob, _)) = named.iter().find(|(blob, header)| fits(blob, header)) {
        return Ok(blob);
    }
    let found: Vec<_> =
        named.iter().map(|(blob, header)| format!("{} of {} bytes", version(header), blob.len())).collect();
    let found = if found.is_empty() { "none of that name".to_owned() } else { found.join(", ") };
    let RecordedModule { name, version, blob_size, .. } = module;
    let remedy = "name the file that was recorded";
    Err(anyhow!("the recording needs {name} {version} of {blob_size} bytes, found {found}; {remedy}"))
}

/// A call that differs: its number among the module's calls and among all, and the difference.
struct Found {
    number: usize,
    of_all: usize,
    difference: String,
}

/// The replay of one module's calls.
struct Replay<'run> {
    platform: &'run HostPlatform,
    cursor: &'run Rc<RefCell<RecordingCursor>>,
    module: &'run RecordedModule,
    blob: &'run [u8],
}

impl Replay<'_> {
    /// Makes the calls. Returns the first one that differs.
    fn run<'call>(&self, calls: impl Iterator<Item = (usize, &'call RecordedCall)>) -> Result<Option<Found>> {
        let RecordedModule { name, cpu_level, heap, stack, .. } = self.module;
        let refused = |error: &dyn std::fmt::Display| anyhow!("{name}: {error}");
        let raw = RawModule::parse(self.blob).map_err(|error| refused(&error))?;
        // The variant that was recorded, if this processor supports it.
        let capabilities =
            Capabilities { cpu_level: (*cpu_level).min(self.platform.cpu_level()), ..Capabilities::of(self.platform) };
        let valid = ValidModule::validate(raw, capabilities).map_err(|error| refused(&error))?;
        // The recorded time limit does not apply, since a debugger may stop the call.
        let budget =
            Budget { time_us: Budget::LIMITS.time_us, stack_bytes: *stack, heap_bytes: *heap, ..Budget::LIMITS };
        let placement = Placement { domain: Domain::Kernel, budget, services: raw.header().services };
        let place = || {
            PlacedModule::place_alone(&valid, &placement, self.platform, kernel_domain())
                .map_err(|error| refused(&error))
        };
        let bindings = Entries::new(valid.bindings());
        let mut placed = place()?;
        let mut found = None;
        for (number, (place_in_all, call)) in (1..).zip(calls) {
            let difference = self.call(&valid.name(), &placed, call, bindings)?;
            if let Some(difference) = difference {
                found = Some(Found { number, of_all: place_in_all + 1, difference });
                break;
            }
            // After a fault, the recorded module was only called again if it had got a fresh image.
            if matches!(call.end, End::Faulted { .. }) {
                let fresh = place()?;
                self.platform.release(std::mem::replace(&mut placed, fresh).into_image());
            }
        }
        self.platform.release(placed.into_image());
        Ok(found)
    }

    /// Makes one call, and returns its first difference.
    fn call(
        &self,
        name: &Name,
        placed: &PlacedModule<Image>,
        call: &RecordedCall,
        bindings: Entries<'_>,
    ) -> Result<Option<String>> {
        let is_known = Reason::ALL.into_iter().any(|reason| reason as u32 == call.reason);
        ensure!(
            is_known || call.reason >= FIRST_FUNCTION,
            "a call for reason {}, expected one of those there are",
            call.reason
        );
        ensure!(
            call.capacity <= MOST,
            "a call with room for {} bytes of output, expected at most {MOST}",
            call.capacity
        );
        if call.end == End::NoMemory {
            return Ok(None);
        }
        *self.cursor.borrow_mut() = RecordingCursor {
            module: call.module.clone(),
            left: call.events.iter().cloned().collect(),
            ..RecordingCursor::default()
        };
        let callees = RecordedCallees { cursor: self.cursor, bindings };
        let function = call.reason.checked_sub(FIRST_FUNCTION).and_then(|number| bindings.function(number as usize));
        let ended = match function.filter(|(export, _)| !export.interface.is_empty()) {
            Some((_, method)) => self.call_method(name, placed, call, method.shape, &callees)?,
            None => {
                let mut output = vec![0; call.capacity as usize];
                let made = placed.call(name, call.reason, &call.input);
                self.platform.call_with_callees(&made, &mut output, &callees).map(|returned| {
                    output.truncate(returned.outcome.output_length);
                    End::Returned { result: returned.outcome.result, output }
                })
            }
        };
        let ended = match ended {
            Ok(returned) => returned,
            Err(CallFailure::Fault(fault)) => End::Faulted { kind: fault.kind.name().to_owned(), offset: fault.offset },
            Err(CallFailure::NoMemory) => bail!("no memory for the call's input and output"),
        };
        Ok(self.cursor.borrow_mut().first_difference(&call.end, &ended))
    }

    /// Calls a method by the packed form of its frame.
    fn call_method(
        &self,
        name: &Name,
        placed: &PlacedModule<Image>,
        call: &RecordedCall,
        shape: Shape,
        callees: &RecordedCallees<'_>,
    ) -> Result<Result<End, CallFailure>> {
        let misfit = || anyhow!("a method's call with {} bytes, expected those of its arguments", call.input.len());
        let (input, _) = Frame::sizes_of_packed(shape, &call.input).ok_or_else(misfit)?;
        let (input, output) = call.input.split_at_checked(input).ok_or_else(misfit)?;
        // The pieces lie as aligned as a caller's.
        let (mut input, mut output) = (Aligned::of(input), Aligned::of(output));
        let mut words = [0; MAX_WORDS];
        let mut frame = Frame::unpack(shape, &mut words, input.bytes(), output.bytes()).ok_or_else(misfit)?;
        let made = placed.call(name, call.reason, &[]);
        Ok(self.platform.call_method(&made, &mut frame, Some(callees)).map(|returned| {
            let mut results = Vec::new();
            frame.save_results(returned.reply.value, |bytes| results.extend_from_slice(bytes));
            End::Returned { result: returned.reply.status as i32, output: results }
        }))
    }
}

/// The recorded events that services replay to the running call.
#[derive(Default)]
struct RecordingCursor {
    module: String,
    left: VecDeque<Event>,
    /// The number of events so far.
    told: usize,
    difference: Option<String>,
}

impl RecordingCursor {
    /// Returns the next event, unless a difference was found before.
    fn next(&mut self, asked: &str) -> Option<Event> {
        if self.difference.is_some() {
            return None;
        }
        self.told += 1;
        let next = self.left.pop_front();
        if next.is_none() {
            self.differs("nothing", asked);
        }
        next
    }

    fn differs(&mut self, expected: &str, found: &str) {
        let number = self.told;
        self.difference.get_or_insert_with(|| format!("service call {number}: expected {expected}, found {found}"));
    }

    fn log(&mut self, line: &str) {
        let logged = |module: &str, bytes: &[u8]| format!("  [LOG] {module}: {}", Printable(bytes));
        say!("{line}");
        match self.next(line.trim_start()) {
            Some(Event::Log(bytes)) if logged(&self.module, &bytes) == line => {}
            Some(other) => self.differs(&describe(&other), &format!("log, \"{}\"", line.trim_start())),
            None => {}
        }
    }

    fn clock(&mut self) -> u64 {
        match self.next("clock") {
            Some(Event::Clock(time)) => time,
            Some(other) => {
                self.differs(&describe(&other), "clock");
                0
            }
            None => 0,
        }
    }

    fn call(&mut self, name: &[u8], input: &[u8], output: &mut [u8]) -> Result<CallOutcome, CallRefusal> {
        let asked = asked(name, input, output.len());
        match self.next(&asked) {
            Some(Event::Call { name: other, input: given, capacity, status, result, output: written })
                if other == name && given == input && capacity as usize == output.len() =>
            {
                if status != CALL_OK {
                    return Err(CallRefusal::from_number(status));
                }
                let length = written.len().min(output.len());
                output[..length].copy_from_slice(&written[..length]);
                return Ok(CallOutcome { result, output_length: length });
            }
            Some(other) => self.differs(&describe(&other), &asked),
            None => {}
        }
        Err(CallRefusal::NotLoaded)
    }

    fn invoke(&mut self, import: u32, method: u32, frame: &mut Frame<'_>) -> Reply {
        let asked = asked_method(import, method);
        match self.next(&asked) {
            Some(Event::Invoke { import: of, method: other, frame: given, status, results })
                if (of, other) == (import, method) && given == packed(frame) =>
            {
                if let Some(value) = frame.restore_results(&results) {
                    // A recording may say any number.
                    return Reply { status: Status::from_number(status).number(), value };
                }
                self.differs("the results of another method", &asked);
            }
            Some(other) => self.differs(&describe(&other), &asked),
            None => {}
        }
        CallError::NotBound.into()
    }

    /// Returns the first difference: a service call, a missing one, or the end.
    fn first_difference(&mut self, expected: &End, found: &End) -> Option<String> {
        if self.difference.is_none()
            && let Some(missing) = self.left.front()
        {
            let end = describe_end(found);
            self.difference =
                Some(format!("service call {}: expected {}, found {end}", self.told + 1, describe(missing)));
        }
        let ends = || {
            (expected != found).then(|| format!("expected {}, found {}", describe_end(expected), describe_end(found)))
        };
        self.difference.take().or_else(ends)
    }
}

/// Bytes at an address that is aligned for every piece of a frame.
struct Aligned {
    buffer: Vec<u8>,
    length: usize,
}

impl Aligned {
    fn of(bytes: &[u8]) -> Aligned {
        let mut aligned = Aligned { buffer: vec![0; bytes.len() + PIECE_ALIGNMENT], length: bytes.len() };
        aligned.bytes().copy_from_slice(bytes);
        aligned
    }

    fn bytes(&mut self) -> &mut [u8] {
        let start = self.buffer.as_ptr().align_offset(PIECE_ALIGNMENT);
        &mut self.buffer[start..start + self.length]
    }
}

/// The callees of a module, with their recorded answers.
struct RecordedCallees<'run> {
    cursor: &'run Rc<RefCell<RecordingCursor>>,
    bindings: Entries<'run>,
}

impl Callees for RecordedCallees<'_> {
    fn call(&self, name: &[u8], input: &[u8], output: &mut [u8]) -> Result<CallOutcome, CallRefusal> {
        self.cursor.borrow_mut().call(name, input, output)
    }

    fn shape(&self, import: u32, method: u32) -> Result<Shape, CallError> {
        let import = self.bindings.imports().nth(import as usize).ok_or(CallError::NotBound)?;
        Ok(import.method(method as usize).ok_or(CallError::NoSuchMethod)?.shape)
    }

    fn invoke(&self, import: u32, method: u32, frame: &mut Frame<'_>) -> Reply {
        self.cursor.borrow_mut().invoke(import, method, frame)
    }
}

fn asked(name: &[u8], input: &[u8], capacity: usize) -> String {
    format!("call of {} with \"{}\" and room for {capacity} bytes", Printable(name), Printable(input))
}

fn asked_method(import: u32, method: u32) -> String {
    format!("call of method {method} of import {import} with its arguments")
}

/// Returns the packed form of a frame.
fn packed(frame: &mut Frame<'_>) -> Vec<u8> {
    let (input, output) = frame.packed_sizes().unwrap_or_default();
    let mut packed = vec![0; input + output];
    frame.pack(|side, at, bytes| {
        let start = if side == Side::Input { at } else { input + at };
        packed[start..start + bytes.len()].copy_from_slice(bytes);
    });
    packed
}

fn describe(event: &Event) -> String {
    match event {
        Event::Log(bytes) => format!("log, \"{}\"", Printable(bytes)),
        Event::Clock(_) => "clock".to_owned(),
        Event::Call { name, input, capacity, .. } => asked(name, input, *capacity as usize),
        Event::Invoke { import, method, .. } => asked_method(*import, *method),
    }
}

fn describe_end(end: &End) -> String {
    match end {
        End::Returned { result, output } => format!("the result {result} and the output \"{}\"", Printable(output)),
        End::Faulted { kind, offset: Some(offset) } => format!("the fault {kind} at offset {offset:#x}"),
        End::Faulted { kind, offset: None } => format!("the fault {kind} outside the module"),
        End::NoMemory => "no memory".to_owned(),
    }
}
