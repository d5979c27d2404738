//! Notes what modules are called with, what they ask for, and what comes of it, where a run is recorded.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use bareflow_loader::{Call, CallError, ModuleManager, Platform, TimedCall};
use bareflow_protocol::Message;
use bareflow_protocol::recording::{End, Event, RecordedCall, RecordedModule};
use spin::Mutex;

/// Bytes that are kept of all calls together, at the most: inputs, outputs, and what each takes besides.
const ROOM: usize = 2 << 20;

/// What a call or an event is taken to need besides its bytes.
const EACH: usize = 96;

/// One while calls are recorded, else none.
static ON: AtomicU32 = AtomicU32::new(0);

/// All that is recorded.
static RECORDER: Mutex<Recorder> = Mutex::new(Recorder { calls: Vec::new(), open: Vec::new(), left: ROOM, cut: false });

struct Recorder {
    calls: Vec<RecordedCall>,
    /// Places of the calls under way, the innermost last.
    open: Vec<usize>,
    left: usize,
    cut: bool,
}

/// Records calls from now on.
pub fn start() {
    ON.store(1, Ordering::Relaxed);
}

/// One while calls are recorded, else none.
pub fn is_on() -> bool {
    recordings() > 0
}

/// One while calls are recorded, else none: for whoever adds it to something.
pub fn recordings() -> u32 {
    ON.load(Ordering::Relaxed)
}

impl Recorder {
    /// Records no more: the calls under way are left out, since they would not be whole.
    fn cut(&mut self) {
        self.calls.truncate(self.open.first().copied().unwrap_or(self.calls.len()));
        self.open.clear();
        self.cut = true;
    }

    /// A copy of `bytes`, if there is room for it.
    fn copy(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.left = self.left.checked_sub(bytes.len() + EACH)?;
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len()).ok()?;
        copy.extend_from_slice(bytes);
        Some(copy)
    }

    fn begin<Image>(&mut self, call: &Call<'_, Image>, capacity: usize) -> Option<()> {
        let input = self.copy(call.input)?;
        self.calls.try_reserve(1).ok()?;
        self.open.try_reserve(1).ok()?;
        self.open.push(self.calls.len());
        self.calls.push(RecordedCall {
            module: call.module.to_string(),
            reason: call.reason as u32,
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

/// Does something with the recorder, as long as nothing was cut.
fn with(work: impl FnOnce(&mut Recorder) -> Option<()>) {
    let mut recorder = RECORDER.lock();
    if !recorder.cut && work(&mut recorder).is_none() {
        recorder.cut();
    }
}

/// Records a call that `carry_out` makes.
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

/// Notes that the call under way logged a line.
pub fn note_log(line: &[u8]) {
    if is_on() {
        with(|recorder| recorder.note(|recorder| recorder.copy(line).map(Event::Log)));
    }
}

/// Notes what the call under way was told the time is.
pub fn note_clock(time: u64) {
    if is_on() {
        with(|recorder| recorder.note(|recorder| recorder.copy(&[]).map(|_| Event::Clock(time))));
    }
}

/// Notes what the call under way was told when it called another module.
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

/// Sends all that was recorded of the modules that are loaded, and forgets it. What the loader itself called, to
/// measure, is nobody's.
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
