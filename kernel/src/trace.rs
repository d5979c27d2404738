//! The tracer: an observer that keeps the last events of each processor in a ring.

use alloc::vec::Vec;

use bareflow_abi::interface::{Frame, Reply};
use bareflow_containment::{AlreadyObserved, Observer, clock, start_observing, stop_observing};
use bareflow_loader::{CallFailure, Name, Occurrence, TimedCall, TimedReply};
use bareflow_protocol::trace::{CallEnd, Entry, Event, MAX_ENTRIES, start_of};
use bareflow_server::{Ring, Tracer};
use bareflow_suite::fallible::{ErrorText, NoMemory};
use spin::Mutex;

/// The number of entries that are kept of each processor: 1 MiB of them.
const CAPACITY: usize = 16 << 10;

/// The number of processors.
const PROCESSORS: usize = 1;

/// The entries of each processor. It notes nothing while it reads them.
static RINGS: [Mutex<Ring<Entry>>; PROCESSORS] = [const { Mutex::new(Ring::new()) }; PROCESSORS];

/// Returns the entries of the processor that executes this.
fn this_ring() -> &'static Mutex<Ring<Entry>> {
    let [boot_processor] = &RINGS;
    boot_processor
}

fn note(event: Event) {
    this_ring().lock().push(Entry { ticks: clock::now(), event });
}

/// The kernel's tracer.
pub struct KernelTracer;

impl Tracer for KernelTracer {
    fn processors(&self) -> u32 {
        PROCESSORS as u32
    }

    fn begin(&self) -> Result<(), ErrorText> {
        self.clear();
        let rings = RINGS.iter().try_for_each(|ring| {
            *ring.lock() = Ring::with_capacity(CAPACITY)?;
            Ok::<_, NoMemory>(())
        });
        let begun = rings.map_err(ErrorText::from).and_then(|()| {
            start_observing(&KernelTracer).map_err(|AlreadyObserved| "calls are recorded already".into())
        });
        begun.inspect_err(|_| self.clear())
    }

    fn end(&self) {
        stop_observing();
    }

    fn clear(&self) {
        RINGS.iter().for_each(|ring| *ring.lock() = Ring::new());
    }

    fn read(&self, processor: u32, from: u64) -> Result<(u64, u64, Vec<Entry>), NoMemory> {
        let Some(ring) = RINGS.get(processor as usize) else { return Ok((0, 0, Vec::new())) };
        let ring = ring.lock();
        let (first, entries) = ring.read(from, MAX_ENTRIES)?;
        Ok((ring.written(), first, entries))
    }
}

impl Observer for KernelTracer {
    fn begin_call(&self, module: &Name, reason: u32, _: &[u8], _: usize) {
        note(Event::BeginCall { module: start_of(module.as_str().as_bytes()), reason });
    }

    fn end_call(&self, done: Result<&TimedCall, &CallFailure>, _: &[u8]) {
        note(Event::EndCall(end_of(done.map(|done| done.outcome.result))));
    }

    fn begin_method(&self, module: &Name, reason: u32, _: &mut Frame<'_>) {
        self.begin_call(module, reason, &[], 0);
    }

    fn end_method(&self, done: Result<&TimedReply, &CallFailure>, _: &mut Frame<'_>) {
        note(Event::EndCall(end_of(done.map(|done| done.reply.status as i32))));
    }

    fn begin_invoke(&self, import: u32, method: u32, _: &mut Frame<'_>) {
        note(Event::BeginInvoke { import, method });
    }

    fn end_invoke(&self, reply: Reply, _: &mut Frame<'_>) {
        note(Event::EndInvoke { status: reply.status });
    }

    fn note_occurrence(&self, module: &Name, occurrence: Occurrence) {
        note(Event::Module { name: start_of(module.as_str().as_bytes()), occurrence });
    }

    fn note_log(&self, line: &[u8]) {
        note(Event::Log { length: line.len() as u32, start: start_of(line) });
    }

    fn note_clock(&self, _: u64) {
        note(Event::Clock);
    }

    fn note_call(&self, name: &[u8], _: &[u8], _: usize, (status, result): (u32, i32), _: &[u8]) {
        note(Event::Call { name: start_of(name), status, result });
    }
}

/// Returns the end of a call by its outcome.
fn end_of(done: Result<i32, &CallFailure>) -> CallEnd {
    match done {
        Ok(result) => CallEnd::Returned(result),
        Err(CallFailure::Fault(fault)) => {
            CallEnd::Faulted { kind: start_of(fault.kind.name().as_bytes()), offset: fault.offset }
        }
        Err(CallFailure::NoMemory) => CallEnd::NoMemory,
    }
}
