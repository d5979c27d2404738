//! The recorder: notes the calls of modules, the services they use, and the outcomes, where a run is recorded.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use bareflow_loader::{Call, CallError, ModuleManager, Platform, TimedCall};
use bareflow_protocol::Message;
use bareflow_protocol::recording::{End, Event, RecordedCall, RecordedModule};
use spin::Mutex;

/// The most bytes that are kept of all calls together: inputs, outputs, and [`EACH`] besides.
const ROOM: usize = 2 << 20;

/// The bytes that a call or an event is counted for besides its data.
const EACH: usize = 96;

/// One while calls are recorded, else zero.
static ON: AtomicU32 = AtomicU32::new(0);

/// The recorded calls.
static RECORDER: Mutex<Recorder> = Mutex::new(Recorder { calls: Vec::new(), open: Vec::new(), left: ROOM, cut: false });

struct Recorder {
    calls: Vec<RecordedCall>,
    /// The indexes of the running calls, the innermost last.
    open: Vec<usize>,
    left: usize,
    cut: bool,
}

/// Starts to record calls.
pub fn start() {
    ON.store(1, Ordering::Relaxed);
}

/// Returns whether calls are recorded.
pub fn is_on() -> bool {
    recordings() > 0
}

/// Returns one while calls are recorded, else zero, for use as a factor.
pub fn recordings() -> u32 {
    ON.load(Ordering::Relaxed)
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

    fn begin<Image>(&mut self, call: &Call<'_, Image>, capacity: usize) -> Option<()> {
        let input = self.copy(call.input())?;
        self.calls.try_reserve(1).ok()?;
        self.open.try_reserve(1).ok()?;
        self.open.push(self.calls.len());
        self.calls.push(RecordedCall {
            module: call.module().to_string(),
            reason: call.reason() as u32,
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

    fn end(&mut self, done: Result<&TimedCall, &CallError>, output: &[u8]) -> Option<()> {
        let end = match done {
            Ok(returned) => {
                let output = self.copy(output.get(..returned.outcome.output_length).unwrap_or_default())?;
                End::Returned { result: returned.outcome.result, output }
            }
            Err(CallError::Fault(fault)) => {
                End::Faulted { kind: String::from(fault.kind.name()), offset: fault.offset }
            }
            Err(CallError::NoMemory) => End::NoMemory,
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

/// Runs the call by `carry_out` and records it.
pub fn record<Image>(
    call: &Call<'_, Image>,
    output: &mut [u8],
    carry_out: impl FnOnce(&mut [u8]) -> Result<TimedCall, CallError>,
) -> Result<TimedCall, CallError> {
    with(|recorder| recorder.begin(call, output.len()));
    let done = carry_out(output);
    with(|recorder| recorder.end(done.as_ref(), output));
    done
}

/// Notes that the running call logged a line.
pub fn note_log(line: &[u8]) {
    if is_on() {
        with(|recorder| recorder.note(|recorder| recorder.copy(line).map(Event::Log)));
    }
}

/// Notes the time that the running call was told.
pub fn note_clock(time: u64) {
    if is_on() {
        with(|recorder| recorder.note(|recorder| recorder.copy(&[]).map(|_| Event::Clock(time))));
    }
}

/// Notes what the running call was told when it called another module.
pub fn note_call(name: &[u8], input: &[u8], capacity: usize, (status, result): (u32, i32), output: &[u8]) {
    if !is_on() {
        return;
    }
    with(|recorder| {
        recorder.note(|recorder| {
            let (name, input, output) = (recorder.copy(name)?, recorder.copy(input)?, recorder.copy(output)?);
            let capacity = u32::try_from(capacity).unwrap_or(u32::MAX);
            Some(Event::Call { name, input, capacity, status, result, output })
        })
    });
}

/// Sends all that was recorded of the modules that are loaded, and clears it. Calls that the loader itself made to
/// measure belong to no module and are left out.
pub fn send<P: Platform>(manager: &ModuleManager<P>, send: impl Fn(&Message)) {
    ON.store(0, Ordering::Relaxed);
    let mut recorder = RECORDER.lock();
    let cut = recorder.cut;
    let modules: Vec<_> = manager
        .profiles()
        .map(|profile| RecordedModule {
            name: profile.name.to_string(),
            version: profile.version.to_string(),
            blob_size: profile.blob_size,
            cpu_level: profile.cpu_level,
            heap: profile.budget.heap,
            stack: profile.budget.stack,
        })
        .collect();
    for call in core::mem::take(&mut recorder.calls) {
        if modules.iter().any(|module| module.name == call.module) {
            send(&Message::Recorded(call));
        }
    }
    send(&Message::RecordedModules(modules, cut));
}
