//! The recorder: notes the calls of modules, the services they use, and the outcomes, where a run is recorded.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_abi::interface::{Frame, Reply, Side};
use bareflow_containment::{Observer, start_observing, stop_observing};
use bareflow_loader::{CallFailure, ModuleManager, Name, Platform, TimedCall, TimedReply};
use bareflow_protocol::Message;
use bareflow_protocol::recording::{End, Event, RecordedCall, RecordedModule};
use spin::Mutex;

/// The most bytes that are kept of all calls together: inputs, outputs, and [`EACH`] besides.
const ROOM: usize = 2 << 20;

/// The bytes that a call or an event is counted for besides its data.
const EACH: usize = 96;

/// The recorded calls.
static RECORDER: Mutex<Recorder> = Mutex::new(Recorder { calls: Vec::new(), open: Vec::new(), left: ROOM, cut: false });

struct Recorder {
    calls: Vec<RecordedCall>,
    /// The indexes of the running calls, the innermost last.
    open: Vec<usize>,
    left: usize,
    cut: bool,
}

/// Starts to record calls, if nothing else observes them.
pub fn start() {
    let _ = start_observing(&Recording);
}

impl Recorder {
    /// Stops recording. The running calls are left out, since they would be incomplete.
    fn cut(&mut self) {
        self.calls.truncate(self.open.first().copied().unwrap_or(self.calls.len()));
        self.open.clear();
        self.cut = true;
    }

    /// Returns a copy of `bytes`, if there is room for it.
    fn copy(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.left = self.left.checked_sub(bytes.len() + EACH)?;
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len()).ok()?;
        copy.extend_from_slice(bytes);
        Some(copy)
    }

    /// Returns the packed form of a frame, if there is room for it.
    fn pack(&mut self, frame: &mut Frame<'_>) -> Option<Vec<u8>> {
        let (input, output) = frame.packed_sizes()?;
        let length = input.checked_add(output)?;
        self.left = self.left.checked_sub(length.checked_add(EACH)?)?;
        let mut packed = Vec::new();
        packed.try_reserve_exact(length).ok()?;
        packed.resize(length, 0);
        frame.pack(|side, at, bytes| {
            let start = if side == Side::Input { at } else { input + at };
            if let Some(target) = packed.get_mut(start..start + bytes.len()) {
                target.copy_from_slice(bytes);
            }
        });
        Some(packed)
    }

    /// Returns what a call did to its frame, if there is room for it.
    fn results(&mut self, value: u64, frame: &mut Frame<'_>) -> Option<Vec<u8>> {
        let (mut length, mut results) = (0, Vec::new());
        frame.save_results(value, |bytes| length += bytes.len());
        self.left = self.left.checked_sub(length + EACH)?;
        results.try_reserve_exact(length).ok()?;
        frame.save_results(value, |bytes| results.extend_from_slice(bytes));
        Some(results)
    }

    fn begin(&mut self, module: &Name, reason: u32, input: Vec<u8>, capacity: usize) -> Option<()> {
        self.calls.try_reserve(1).ok()?;
        self.open.try_reserve(1).ok()?;
        self.open.push(self.calls.len());
        self.calls.push(RecordedCall {
            module: module.to_string(),
            reason,
            input,
            capacity: u32::try_from(capacity).unwrap_or(u32::MAX),
            events: Vec::new(),
            end: End::NoMemory,
        });
        Some(())
    }

    fn note(&mut self, event: impl FnOnce(&mut Recorder) -> Option<Event>) -> Option<()> {
        let event = event(self)?;
        let call = self.calls.get_mut(*self.open.last()?)?;
        call.events.try_reserve(1).ok()?;
        call.events.push(event);
        Some(())
    }

    /// Ends the innermost running call. `returned` is its result with what it left, if it returned.
    fn end(&mut self, returned: Result<(i32, Vec<u8>), &CallFailure>) -> Option<()> {
        let end = match returned {
            Ok((result, output)) => End::Returned { result, output },
            Err(CallFailure::Fault(fault)) => {
                End::Faulted { kind: String::from(fault.kind.name()), offset: fault.offset }
            }
            Err(CallFailure::NoMemory) => End::NoMemory,
        };
        let index = self.open.pop()?;
        self.calls.get_mut(index)?.end = end;
        Some(())
    }
}

/// Runs `work` on the recorder, unless it was cut; cuts it if `work` finds no room.
fn with(work: impl FnOnce(&mut Recorder) -> Option<()>) {
    let mut recorder = RECORDER.lock();
    if !recorder.cut && work(&mut recorder).is_none() {
        recorder.cut();
    }
}

/// The recorder as the containment sees it.
struct Recording;

impl Observer for Recording {
    fn begin_call(&self, module: &Name, reason: u32, input: &[u8], capacity: usize) {
        with(|recorder| {
            let input = recorder.copy(input)?;
            recorder.begin(module, reason, input, capacity)
        });
    }

    fn end_call(&self, done: Result<&TimedCall, &CallFailure>, output: &[u8]) {
        with(|recorder| match done {
            Ok(TimedCall { outcome, .. }) => {
                let output = recorder.copy(output.get(..outcome.output_length).unwrap_or_default())?;
                recorder.end(Ok((outcome.result, output)))
            }
            Err(error) => recorder.end(Err(error)),
        });
    }

    fn begin_method(&self, module: &Name, reason: u32, frame: &mut Frame<'_>) {
        with(|recorder| {
            let input = recorder.pack(frame)?;
            recorder.begin(module, reason, input, 0)
        });
    }

    fn end_method(&self, done: Result<&TimedReply, &CallFailure>, frame: &mut Frame<'_>) {
        with(|recorder| match done {
            Ok(TimedReply { reply, .. }) => {
                let results = recorder.results(reply.value, frame)?;
                recorder.end(Ok((reply.status as i32, results)))
            }
            Err(error) => recorder.end(Err(error)),
        });
    }

    fn begin_invoke(&self, import: u32, method: u32, frame: &mut Frame<'_>) {
        note(|recorder| {
            let frame = recorder.pack(frame)?;
            Some(Event::Invoke { import, method, frame, status: 0, results: Vec::new() })
        });
    }

    fn end_invoke(&self, reply: Reply, frame: &mut Frame<'_>) {
        with(|recorder| {
            let told = recorder.results(reply.value, frame)?;
            let call = recorder.calls.get_mut(*recorder.open.last()?)?;
            // The caller stood still, so this is its last event.
            if let Some(Event::Invoke { status, results, .. }) = call.events.last_mut() {
                (*status, *results) = (reply.status, told);
            }
            Some(())
        });
    }

    fn note_log(&self, line: &[u8]) {
        note(|recorder| recorder.copy(line).map(Event::Log));
    }

    fn note_clock(&self, time: u64) {
        note(|recorder| recorder.copy(&[]).map(|_| Event::Clock(time)));
    }

    fn note_call(&self, name: &[u8], input: &[u8], capacity: usize, (status, result): (u32, i32), output: &[u8]) {
        note(|recorder| {
            let (name, input, output) = (recorder.copy(name)?, recorder.copy(input)?, recorder.copy(output)?);
            let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
            Some(Event::Call { name, input, capacity, status, result, output })
        });
    }
}

/// Notes an event of the innermost running call.
fn note(event: impl FnOnce(&mut Recorder) -> Option<Event>) {
    with(|recorder| recorder.note(event));
}

/// Sends all that was recorded of the modules that are loaded, and clears it. Calls that the loader itself made to
/// measure belong to no module and are left out.
pub fn send<P: Platform>(manager: &ModuleManager<P>, send: impl Fn(&Message)) {
    stop_observing();
    let mut recorder = RECORDER.lock();
    let cut = recorder.cut;
    let modules: Vec<_> = manager
        .profiles()
        .map(|profile| RecordedModule {
            name: profile.name.to_string(),
            version: profile.version.to_string(),
            blob_size: profile.blob_size,
            cpu_level: profile.cpu_level,
            heap: profile.budget.heap_bytes,
            stack: profile.budget.stack_bytes,
        })
        .collect();
    for call in core::mem::take(&mut recorder.calls) {
        if modules.iter().any(|module| module.name == call.module) {
            send(&Message::Recorded(call));
        }
    }
    send(&Message::RecordedModules(modules, cut));
}
