//! A module of the user domain as its parent sees it: a process, and the channel to it.

use allocator_api2::boxed::Box;
use std::cell::Cell;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bareflow_abi::CallRefusal;
use bareflow_abi::call::CALL_OK;
use bareflow_abi::header::{NAME_SIZE, SERVICE_CALL, SERVICE_LOG};
use bareflow_loader::{Call, CallError, CallOutcome, Fault, FaultKind, Name, PeakUse, PlatformError};

use crate::activation::OptionalCallees;
use crate::channel::Channel;
use crate::handoff::Peer;
use crate::memory::{self, Image};
use crate::message::{ChildMessage, ParentMessage};
use crate::process::Process;
use crate::services::MAX_LINE;
use crate::stopwatch::Stopwatch;
use crate::thread_context::ThreadContext;
use crate::{sandbox, signals};

/// The process of one image.
#[derive(Debug)]
pub(crate) struct Child {
    // First, so that it is gone when the channel goes.
    process: Process,
    channel: Channel,
    /// Bytes of the channel's data that calls under way use.
    used: Cell<u64>,
}

/// Why there is no answer.
enum ChildError {
    /// The time is over.
    Timeout,
    /// The process is gone, or says what is no answer.
    Exited,
}

/// How long a process may take to sandbox itself, in microseconds.
const START_US: u32 = 10_000_000;

/// How long to sleep before looking whether the process is still there.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Where the first call's input lies: behind a line's text.
const FIRST_OFFSET: u64 = MAX_LINE as u64;

/// Most bytes of input or output that a module may pass on to another one.
const MAX_BUFFER_BYTES: usize = 64 << 20;

/// What the offsets of calls' input and output are multiples of.
const BUFFER_ALIGNMENT: u64 = 64;

/// The fault of a call whose process is gone.
const LOST: Fault = Fault { kind: FaultKind::GeneralProtection, offset: None, address: None };

/// The fault of a call that was broken off from here.
const LATE: Fault = Fault { kind: FaultKind::TimeBudget, offset: None, address: None };

/// Held while there is a channel that another child would inherit.
static STARTING: Mutex<()> = Mutex::new(());

/// Moves a sealed image out of this process, into one of its own.
#[expect(clippy::result_large_err, reason = "a box would be memory that may not be there")]
pub(crate) fn sandbox(mut image: Image, thread: &ThreadContext) -> Result<Image, (Image, PlatformError)> {
    let Ok(boxed) = Box::try_new_uninit() else {
        return Err((image, PlatformError { what: "take memory for a module's process", bytes: size_of::<Child>() }));
    };
    match Child::start(&image, thread) {
        Ok(child) => {
            image.child = Some(Box::write(boxed, child));
            Ok(image)
        }
        Err(what) => Err((image, PlatformError { what, bytes: 0 })),
    }
}

impl Child {
    /// Makes the process in which the sealed image runs; in this one nothing is left of it.
    ///
    /// # Errors
    /// What can't be done.
    fn start(image: &Image, thread: &ThreadContext) -> Result<Child, &'static str> {
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = Channel::new().map_err(|_| "share memory with a module's process")?;
        channel.handoff().hand_to(Peer::Child, channel.spin_budget);
        let parent = std::process::id();
        let (process, channel) = signals::all_blocked(|| {
            // SAFETY: `run` does only what a signal handler may.
            match unsafe { Process::copy() }.map_err(|_| "make a process for a module")? {
                Some(process) => Ok((process, channel)),
                None => sandbox::run(image, thread.stack.alias(), channel, parent),
            }
        })?;
        channel.keep_from_others().map_err(|_| "keep memory from other modules")?;
        drop(starting);
        memory::unmap_image(&image.segments).map_err(|_| "unmap what is a module's process's")?;
        let child = Child { process, channel, used: Cell::new(FIRST_OFFSET) };
        match child.answer(&mut None, START_US) {
            Ok(ChildMessage::Ready) => Ok(child),
            Ok(_) | Err(ChildError::Exited) => {
                Err("take a module's process all its rights (see seccomp(2), close_range(2))")
            }
            Err(ChildError::Timeout) => Err("wait for a module's process"),
        }
    }

    /// The process's number.
    #[cfg(test)]
    pub const fn id(&self) -> libc::pid_t {
        self.process.id()
    }

    /// Makes a call in the process. A process whose call went wrong is ended.
    pub fn call(
        &self,
        call: &Call<'_, Image>,
        output: &mut [u8],
        thread: &ThreadContext,
        callees: OptionalCallees<'_>,
    ) -> Result<CallOutcome, CallError> {
        let (input_at, output_at, end) =
            self.room(call.input.len() as u64, output.len() as u64).ok_or(CallError::NoMemory)?;
        self.channel.put(input_at, call.input);
        let request = ParentMessage::Call {
            entry: call.entry,
            reason: call.reason,
            input: (self.channel.data(input_at), call.input.len() as u64),
            output: (self.channel.data(output_at), output.len() as u64),
        };
        self.used.set(end);
        let reply = self.converse(request, call, thread, callees);
        self.used.set(input_at);
        let fault = match reply {
            Ok(ChildMessage::Returned(CallOutcome { result, output_length })) => {
                let output_length = output_length.min(output.len());
                self.channel.get(output_at, &mut output[..output_length]);
                // The module's next call may be another client's.
                self.channel.clear(input_at, call.input.len());
                self.channel.clear(output_at, output_length);
                if input_at == FIRST_OFFSET {
                    // Where this fails, the memory stays until another call has it.
                    let _ = self.channel.shrink();
                }
                return Ok(CallOutcome { result, output_length });
            }
            Ok(ChildMessage::Faulted(fault, diagnosis)) => {
                thread.diagnosis.set(diagnosis);
                fault
            }
            Ok(
                ChildMessage::Ready
                | ChildMessage::Log(_)
                | ChildMessage::Call { .. }
                | ChildMessage::Passed
                | ChildMessage::Peak(_),
            )
            | Err(ChildError::Exited) => LOST,
            Err(ChildError::Timeout) => LATE,
        };
        self.process.end();
        Err(fault.into())
    }

    /// The most stack and heap that calls have used, as the process says it; nothing where it is gone, or in a call.
    pub fn peak_use(&self, image: &Image, thread: &ThreadContext) -> PeakUse {
        if self.used.get() != FIRST_OFFSET {
            return PeakUse::default();
        }
        match self.say(ParentMessage::Peak, &mut None, START_US) {
            Ok(ChildMessage::Peak(PeakUse { stack_bytes, heap_bytes })) => {
                let stack = image.stack_top - thread.stack.bottom();
                let (_, heap) = image.segments.heap();
                PeakUse {
                    stack_bytes: stack_bytes.map(|bytes| bytes.min(stack)),
                    heap_bytes: heap_bytes.map(|bytes| bytes.min(heap)),
                }
            }
            Ok(_) | Err(ChildError::Timeout | ChildError::Exited) => PeakUse::default(),
        }
    }

    /// Room in the channel for input and output: their offsets, and where it ends. Nobody has it yet.
    fn room(&self, input: u64, output: u64) -> Option<(u64, u64, u64)> {
        let input_at = self.used.get();
        let output_at = input_at.checked_add(input)?.checked_next_multiple_of(BUFFER_ALIGNMENT)?;
        let end = output_at.checked_add(output)?.checked_next_multiple_of(BUFFER_ALIGNMENT)?;
        self.channel.grow(end).ok()?;
        Some((input_at, output_at, end))
    }

    /// Asks for a call, and does what its services ask for.
    fn converse(
        &self,
        mut request: ParentMessage,
        call: &Call<'_, Image>,
        thread: &ThreadContext,
        callees: OptionalCallees<'_>,
    ) -> Result<ChildMessage, ChildError> {
        let budget = call.image.time_us;
        let mut time = None;
        loop {
            let reply = self.say(request, &mut time, budget)?;
            let declares = |service| call.image.services & service != 0;
            // A module that does nothing but ask has a budget, too.
            let mut start = || *time.get_or_insert_with(|| Stopwatch::start(self.process.clock(), budget));
            request = match reply {
                ChildMessage::Log(length) if declares(SERVICE_LOG) => {
                    start();
                    self.log(length, call, thread)?;
                    ParentMessage::Continue
                }
                ChildMessage::Call { name, input, output } if declares(SERVICE_CALL) => {
                    start();
                    self.call_other(name, (input, output), callees, &mut time, budget)?
                }
                reply => return Ok(reply),
            };
            time.and_then(|time| time.left()).ok_or(ChildError::Timeout)?;
        }
    }

    /// Says something to the process, and waits for what it says next.
    fn say(
        &self,
        request: ParentMessage,
        time: &mut Option<Stopwatch>,
        budget_us: u32,
    ) -> Result<ChildMessage, ChildError> {
        if self.process.has_ended() {
            return Err(ChildError::Exited);
        }
        request.write(self.channel.words());
        self.channel.handoff().hand_to(Peer::Child, self.channel.spin_budget);
        self.answer(time, budget_us)
    }

    /// Logs a line of that many bytes.
    fn log(&self, length: u64, call: &Call<'_, Image>, thread: &ThreadContext) -> Result<(), ChildError> {
        let mut text = [0; MAX_LINE];
        let length = usize::try_from(length).map_err(|_| ChildError::Exited)?;
        let text = text.get_mut(..length).ok_or(ChildError::Exited)?;
        self.channel.get(0, text);
        thread.log_sink.forward(call.module, text);
        Ok(())
    }

    /// Calls another module for the one in the process, and says what came of it. The time of that one is its own.
    fn call_other(
        &self,
        name: [u8; NAME_SIZE],
        (input, output): (u64, u64),
        callees: OptionalCallees<'_>,
        time: &mut Option<Stopwatch>,
        budget_us: u32,
    ) -> Result<ParentMessage, ChildError> {
        let refused = |why: CallRefusal| {
            Ok(ParentMessage::Called { status: why as u32, outcome: CallOutcome { result: 0, output_length: 0 } })
        };
        let (Some(callees), Some(name)) = (callees, Name::from_field(name)) else {
            return refused(CallRefusal::NotDeclared);
        };
        let bytes = |length: u64| {
            let length = usize::try_from(length).ok().filter(|&length| length <= MAX_BUFFER_BYTES)?;
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(length).ok()?;
            bytes.resize(length, 0);
            Some(bytes)
        };
        let (Some(mut given), Some(mut taken)) = (bytes(input), bytes(output)) else {
            return refused(CallRefusal::NoMemory);
        };
        let Some((input_at, output_at, end)) = self.room(input, output) else { return refused(CallRefusal::NoMemory) };
        let ChildMessage::Passed =
            self.say(ParentMessage::Room { input: input_at, output: output_at }, time, budget_us)?
        else {
            return Err(ChildError::Exited);
        };
        self.channel.get(input_at, &mut given);
        self.used.set(end);
        let since = Instant::now();
        let done = callees.call(name.as_str().as_bytes(), &given, &mut taken);
        if let Some(time) = time {
            // The process slept meanwhile.
            time.exclude([since.elapsed(), Duration::ZERO]);
        }
        self.used.set(input_at);
        match done {
            Ok(outcome) => {
                let written = taken.get(..outcome.output_length).unwrap_or_default();
                self.channel.put(output_at, written);
                Ok(ParentMessage::Called { status: CALL_OK, outcome })
            }
            Err(why) => refused(why),
        }
    }

    /// What the process says next. `time` runs from the first time on that it does not say it at once.
    fn answer(&self, time: &mut Option<Stopwatch>, budget_us: u32) -> Result<ChildMessage, ChildError> {
        let handoff = self.channel.handoff();
        if !handoff.spin(Peer::Parent, self.channel.spin_budget) {
            let time = time.get_or_insert_with(|| Stopwatch::start(self.process.clock(), budget_us));
            while !handoff.is(Peer::Parent) {
                let left = time.left().ok_or(ChildError::Timeout)?;
                handoff.sleep(Peer::Parent, Some(left.min(POLL_INTERVAL)));
                // Its last word may still have come.
                if !handoff.is(Peer::Parent) && self.process.is_gone() && !handoff.is(Peer::Parent) {
                    return Err(ChildError::Exited);
                }
            }
        }
        ChildMessage::read(self.channel.words()).ok_or(ChildError::Exited)
    }
}
