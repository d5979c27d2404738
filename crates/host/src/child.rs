//! The parent's view of a module of the user domain: a process, and the channel to it.

use allocator_api2::boxed::Box;
use std::cell::Cell;
use std::os::fd::RawFd;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bareflow_abi::CallRefusal;
use bareflow_abi::call::CALL_OK;
use bareflow_abi::header::{NAME_SIZE, SERVICE_CALL, SERVICE_GROW, SERVICE_INVOKE, SERVICE_LOG};
use bareflow_abi::interface::{
    CallError, Frame, MAX_ARGUMENTS, MAX_REPLY_WORDS, MAX_WORDS, PIECE_ALIGNMENT, Reply, Side, Status,
};
use bareflow_abi::memory::CANNOT_GROW;
use bareflow_loader::{Call, CallFailure, CallOutcome, Callees, Fault, FaultKind, Name, PeakUse, PlatformError};
use bareflow_runtime::services::MAX_LINE_BYTES;

use crate::call::ThreadContext;
use crate::channel::Channel;
use crate::channel::handoff::Peer;
use crate::channel::message::{ChildMessage, ParentMessage};
use crate::mapper::Mapper;
use crate::memory::{self, Image};
use crate::process::{Child, Process};
use crate::sandbox;
use crate::signal_mask::all_blocked;
use crate::stopwatch::Stopwatch;

/// The reason why there is no response.
enum ChildError {
    /// The time is over.
    Timeout,
    /// The process has ended, or its message is invalid.
    Exited,
}

/// The time that a process may take to sandbox itself, in microseconds.
const START_US: u32 = 10_000_000;

/// The longest sleep before checking whether the process is still there.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The offset of the first call's input: after a log line's text.
const FIRST_OFFSET: u64 = MAX_LINE_BYTES as u64;

/// The longest input or output that a module may pass on to another one, in bytes.
const MAX_BUFFER_BYTES: u64 = 64 << 20;

/// The bytes of a module's data that are copied at once.
const PIECE_BYTES: u64 = 64 << 10;

/// The alignment of the offsets of calls' input and output.
const BUFFER_ALIGNMENT: u64 = 64;

/// The fault of a call whose process has ended.
const LOST: Fault = Fault { kind: FaultKind::GeneralProtection, offset: None, address: None };

/// The fault of a call that was ended from this side.
const LATE: Fault = Fault { kind: FaultKind::TimeBudget, offset: None, address: None };

/// Locked while there is a channel that another child would inherit.
static STARTING: Mutex<()> = Mutex::new(());

/// Moves a sealed image out of this process, into a process of its own, with the file of `regions` if it shares any.
#[expect(clippy::result_large_err, reason = "a box would be memory that may not be there")]
pub(crate) fn sandbox(
    mut image: Image,
    thread: &ThreadContext,
    regions: Option<RawFd>,
) -> Result<Image, (Image, PlatformError)> {
    let Ok(boxed) = Box::try_new_uninit() else {
        return Err((image, PlatformError { what: "take memory for a module's process", bytes: size_of::<Child>() }));
    };
    match Child::start(&image, thread, regions) {
        Ok(child) => {
            image.child = Some(Box::write(boxed, child));
            Ok(image)
        }
        Err(what) => Err((image, PlatformError { what, bytes: 0 })),
    }
}

impl Child {
    /// Makes the process in which the sealed image runs, and unmaps the image here.
    ///
    /// # Errors
    /// The step that failed.
    fn start(image: &Image, thread: &ThreadContext, regions: Option<RawFd>) -> Result<Child, &'static str> {
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = Channel::new().map_err(|_| "share memory with a module's process")?;
        channel.handoff().hand_to(Peer::Child, channel.spin_budget);
        let mapper =
            regions.map(Mapper::new).transpose().map_err(|_| "make a way to map regions in a module's process")?;
        let (mapper, mapper_thread) = mapper.unzip();
        let parent = std::process::id();
        let (process, channel) = all_blocked(|| {
            // SAFETY: the copy only calls `run`, which does only what a signal handler may do.
            match unsafe { Process::copy() }.map_err(|_| "make a process for a module")? {
                Some(process) => Ok((process, channel)),
                None => sandbox::run(image, thread.stack.alias(), channel, mapper_thread, parent),
            }
        })?;
        let kept = channel.keep_from_others().and_then(|()| mapper.iter().try_for_each(Mapper::keep_from_others));
        let kept = kept.and_then(|()| image.window.iter().try_for_each(|window| window.keep_from_copies()));
        kept.map_err(|_| "keep memory from other modules")?;
        drop(starting);
        memory::unmap_image(&image.segments).map_err(|_| "unmap what is a module's process's")?;
        let child = Child { process, channel, mapper, used: Cell::new(FIRST_OFFSET) };
        match child.answer(&mut None, START_US) {
            Ok(ChildMessage::Ready) => Ok(child),
            Ok(_) | Err(ChildError::Exited) => {
                Err("take a module's process all its rights (see seccomp(2), close_range(2))")
            }
            Err(ChildError::Timeout) => Err("wait for a module's process"),
        }
    }

    /// Returns the process's ID.
    #[cfg(test)]
    pub const fn id(&self) -> libc::pid_t {
        self.process.id()
    }

    /// Makes a call in the process. The process is killed if the call goes wrong.
    pub fn call(
        &self,
        call: &Call<'_, Image>,
        output: &mut [u8],
        thread: &ThreadContext,
        callees: Option<&dyn Callees>,
    ) -> Result<CallOutcome, CallFailure> {
        let (input_at, output_at, end) =
            self.room(call.input().len() as u64, output.len() as u64).ok_or(CallFailure::NoMemory)?;
        self.channel.put(input_at, call.input());
        let outcome =
            self.call_at((input_at, call.input().len()), (output_at, output.len()), end, call, (thread, callees))?;
        let output_length = outcome.output_length.min(output.len());
        self.channel.get(output_at, &mut output[..output_length]);
        // The module's next call may be for another client.
        self.clear_and_shrink((input_at, call.input().len()), (output_at, output_length));
        Ok(CallOutcome { output_length, ..outcome })
    }

    /// Calls a method in the process, by a copy of what its frame leads to. The process is killed if the call goes wrong.
    pub fn call_method(
        &self,
        call: &Call<'_, Image>,
        frame: &mut Frame<'_>,
        thread: &ThreadContext,
        callees: Option<&dyn Callees>,
    ) -> Result<Reply, CallFailure> {
        let (input, output) = frame.packed_sizes().ok_or(CallFailure::NoMemory)?;
        let (input_at, output_at, end) = self.room(input as u64, output as u64).ok_or(CallFailure::NoMemory)?;
        frame.pack(|side, at, bytes| {
            let start = if side == Side::Input { input_at } else { output_at };
            self.channel.put(start + at as u64, bytes);
        });
        let outcome = self.call_at((input_at, input), (output_at, output), end, call, (thread, callees))?;
        let reply = frame
            .take_packed(Status::of_entry(outcome.result), |at, bytes| self.channel.get(output_at + at as u64, bytes));
        self.clear_and_shrink((input_at, input), (output_at, output));
        Ok(reply)
    }

    /// Clears what a call left in the channel, and gives memory back behind the outermost one.
    fn clear_and_shrink(&self, input: (u64, usize), output: (u64, usize)) {
        self.channel.clear(input.0, input.1);
        self.channel.clear(output.0, output.1);
        if input.0 == FIRST_OFFSET {
            // If this fails, the memory stays until another call uses it.
            let _ = self.channel.shrink();
        }
    }

    /// Makes a call whose input and output lie at these offsets of the channel, with these lengths.
    fn call_at(
        &self,
        (input_at, input): (u64, usize),
        (output_at, output): (u64, usize),
        end: u64,
        call: &Call<'_, Image>,
        (thread, callees): (&ThreadContext, Option<&dyn Callees>),
    ) -> Result<CallOutcome, CallFailure> {
        let request = ParentMessage::Call {
            entry: call.entry(),
            reason: call.reason(),
            caller: call.caller(),
            input: (self.channel.data(input_at), input as u64),
            output: (self.channel.data(output_at), output as u64),
        };
        self.used.set(end);
        let reply = self.converse(request, call, thread, callees);
        self.used.set(input_at);
        let fault = match reply {
            Ok(ChildMessage::Returned(outcome)) => return Ok(outcome),
            Ok(ChildMessage::Faulted(fault, diagnosis)) => {
                thread.diagnosis.set(diagnosis);
                fault
            }
            Ok(
                ChildMessage::Ready
                | ChildMessage::Log(_)
                | ChildMessage::Call { .. }
                | ChildMessage::Shape { .. }
                | ChildMessage::Invoke { .. }
                | ChildMessage::Find { .. }
                | ChildMessage::Grow(_)
                | ChildMessage::Passed
                | ChildMessage::Peak(_),
            )
            | Err(ChildError::Exited) => LOST,
            Err(ChildError::Timeout) => LATE,
        };
        self.process.end();
        Err(fault.into())
    }

    /// Returns the most stack and heap that calls have used, as the process reports it; nothing if it has ended or is
    /// in a call.
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

    /// Tells the process the size of the linear memory, in bytes. One that does not answer is noticed by its next call.
    pub fn tell_memory_size(&self, bytes: u64) {
        let _ = self.say(ParentMessage::MemorySize(bytes), &mut None, START_US);
    }

    /// Passes bytes of the data of the module in the process, which lie there, to `look`, by a copy that goes there and back.
    pub fn reach(&self, address: u64, length: u64, look: &mut dyn FnMut(&mut [u8])) -> bool {
        let mut piece = Vec::new();
        // A process in which a call is running does not answer.
        if self.used.get() != FIRST_OFFSET || piece.try_reserve_exact(length.min(PIECE_BYTES) as usize).is_err() {
            return false;
        }
        let mut done = 0;
        while done < length {
            let bytes = (length - done).min(PIECE_BYTES);
            let (data, room) = (address + done, self.channel.data(FIRST_OFFSET));
            let moves = |from, to| {
                let copy = ParentMessage::Copy { from, to, length: bytes };
                matches!(self.say(copy, &mut None, START_US), Ok(ChildMessage::Ready))
            };
            if self.channel.grow(FIRST_OFFSET + bytes).is_err() || !moves(data, room) {
                return false;
            }
            piece.resize(bytes as usize, 0);
            self.channel.get(FIRST_OFFSET, &mut piece);
            look(&mut piece);
            self.channel.put(FIRST_OFFSET, &piece);
            if !moves(room, data) {
                return false;
            }
            self.channel.clear(FIRST_OFFSET, piece.len());
            done += bytes;
        }
        true
    }

    /// Makes room in the channel for input and output. Returns their offsets, and the end; nothing is reserved yet.
    fn room(&self, input: u64, output: u64) -> Option<(u64, u64, u64)> {
        let input_at = self.used.get();
        let output_at = input_at.checked_add(input)?.checked_next_multiple_of(BUFFER_ALIGNMENT)?;
        let end = output_at.checked_add(output)?.checked_next_multiple_of(BUFFER_ALIGNMENT)?;
        self.channel.grow(end).ok()?;
        Some((input_at, output_at, end))
    }

    /// Sends a request for a call, and serves the module's requests until the call ends.
    fn converse(
        &self,
        mut request: ParentMessage,
        call: &Call<'_, Image>,
        thread: &ThreadContext,
        callees: Option<&dyn Callees>,
    ) -> Result<ChildMessage, ChildError> {
        let image = call.image();
        let (budget, total) = thread.budget(image.time_us);
        let mut time = None;
        // No module has more to pass on than its own memory, what lies in the channel for its calls, and regions.
        let stack = image.stack_top - thread.stack.bottom();
        let fixed = image.segments.mapped().iter().map(|(_, bytes)| bytes).sum::<u64>() + stack + self.used.get();
        loop {
            let reply = self.say(request, &mut time, budget)?;
            let memory = image.window.as_ref().map_or(0, |window| window.bytes());
            let own = fixed + memory + self.mapper.as_ref().map_or(0, Mapper::mapped);
            let declares = |service| image.services & service != 0;
            // A module that does nothing but call services has a time budget, too.
            let mut start = || *time.get_or_insert_with(|| Stopwatch::start(self.process.clock(), budget));
            request = match reply {
                ChildMessage::Log(length) if declares(SERVICE_LOG) => {
                    start();
                    self.log(length, call, thread)?;
                    ParentMessage::Continue
                }
                ChildMessage::Call { name, input, output } if declares(SERVICE_CALL) && input.max(output) <= own => {
                    start();
                    self.call_other(name, (input, output), callees, &mut time, budget)?
                }
                ChildMessage::Grow(pages) if declares(SERVICE_GROW) => {
                    start();
                    match &image.window {
                        Some(window) => ParentMessage::Grown { before: window.grow(pages), bytes: window.bytes() },
                        None => ParentMessage::Grown { before: CANNOT_GROW, bytes: 0 },
                    }
                }
                ChildMessage::Shape { import, method } if declares(SERVICE_INVOKE) => {
                    start();
                    match callees.map_or(Err(CallError::NotBound), |callees| callees.shape(import, method)) {
                        Ok(shape) => ParentMessage::Shape { bits: shape.bits(), status: 0 },
                        Err(error) => ParentMessage::Shape { bits: 0, status: Status::Failed(error).number() },
                    }
                }
                ChildMessage::Find { address, length, to_write } if self.mapper.is_some() => {
                    start();
                    let found = callees.and_then(|callees| callees.find_in_region(address, length, to_write));
                    ParentMessage::Found(found == Some(address))
                }
                ChildMessage::Invoke { import, method, input, output }
                    if declares(SERVICE_INVOKE) && input.max(output) <= most_packed(own) =>
                {
                    start();
                    self.invoke((import, method), (input, output), callees, &mut time, budget)?
                }
                reply => return Ok(reply),
            };
            time.and_then(|time| time.left()).ok_or(ChildError::Timeout)?;
            if total.is_some_and(|total| total.left().is_none()) {
                return Err(ChildError::Timeout);
            }
        }
    }

    /// Sends a message to the process, and waits for the next one from it.
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

    /// Logs a line of `length` bytes.
    fn log(&self, length: u64, call: &Call<'_, Image>, thread: &ThreadContext) -> Result<(), ChildError> {
        let mut text = [0; MAX_LINE_BYTES];
        let length = usize::try_from(length).map_err(|_| ChildError::Exited)?;
        let text = text.get_mut(..length).ok_or(ChildError::Exited)?;
        self.channel.get(0, text);
        thread.log_sink.forward(call.module(), text);
        Ok(())
    }

    /// Calls another module for the one in the process, and returns the message with the outcome.
    ///
    /// The callee's time does not count for the caller.
    fn call_other(
        &self,
        name: [u8; NAME_SIZE],
        (input, output): (u64, u64),
        callees: Option<&dyn Callees>,
        time: &mut Option<Stopwatch>,
        budget_us: u32,
    ) -> Result<ParentMessage, ChildError> {
        let refused = |why: CallRefusal| {
            Ok(ParentMessage::Called { status: why as u32, outcome: CallOutcome { result: 0, output_length: 0 } })
        };
        let (Some(callees), Some(name)) = (callees, Name::from_field(name)) else {
            return refused(CallRefusal::NotDeclared);
        };
        let (Some(mut given), Some(mut taken)) = (zeroed(input), zeroed(output)) else {
            return refused(CallRefusal::NoMemory);
        };
        let Some((input_at, output_at, end)) = self.room(input, output) else { return refused(CallRefusal::NoMemory) };
        let ChildMessage::Passed =
            self.say(ParentMessage::Room { input: input_at, output: output_at }, time, budget_us)?
        else {
            return Err(ChildError::Exited);
        };
        let (given, taken) = (aligned(&mut given, input), aligned(&mut taken, output));
        self.channel.get(input_at, given);
        self.used.set(end);
        let done = left_out(time, || callees.call(name.as_str().as_bytes(), given, taken));
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

    /// Calls a method of an import for the module in the process, and returns the message with the reply.
    fn invoke(
        &self,
        (import, method): (u32, u32),
        (input, output): (u64, u64),
        callees: Option<&dyn Callees>,
        time: &mut Option<Stopwatch>,
        budget_us: u32,
    ) -> Result<ParentMessage, ChildError> {
        let refused =
            |error: CallError| Ok(ParentMessage::Invoked { status: Status::Failed(error).number(), value: 0 });
        let Some(callees) = callees else { return refused(CallError::NotBound) };
        let shape = match callees.shape(import, method) {
            Ok(shape) => shape,
            Err(error) => return refused(error),
        };
        let (Some(mut given), Some(mut taken)) = (zeroed(input), zeroed(output)) else {
            return refused(CallError::NoMemory);
        };
        let (given, taken) = (aligned(&mut given, input), aligned(&mut taken, output));
        let Some((input_at, output_at, end)) = self.room(input, output) else { return refused(CallError::NoMemory) };
        let ChildMessage::Passed =
            self.say(ParentMessage::Room { input: input_at, output: output_at }, time, budget_us)?
        else {
            return Err(ChildError::Exited);
        };
        // The words come first: nothing else is copied for a frame that says something else.
        let start = given.get_mut(..shape.words() * size_of::<u64>()).ok_or(ChildError::Exited)?;
        self.channel.get(input_at, start);
        if Frame::sizes_of_packed(shape, start) != Some((input as usize, output as usize)) {
            return Err(ChildError::Exited);
        }
        self.channel.get(input_at, given);
        self.channel.get(output_at, taken);
        let mut words = [0; MAX_WORDS];
        let Some(mut frame) = Frame::unpack(shape, &mut words, given, taken) else {
            return Err(ChildError::Exited);
        };
        self.used.set(end);
        let reply = left_out(time, || callees.invoke(import, method, &mut frame));
        self.used.set(input_at);
        let mut header = [0; MAX_REPLY_WORDS];
        header.iter_mut().zip(frame.reply_header(reply.value)).for_each(|(target, word)| *target = word);
        for (target, word) in taken.chunks_exact_mut(8).zip(header).take(shape.reply_words()) {
            target.copy_from_slice(&word.to_le_bytes());
        }
        self.channel.put(output_at, taken);
        Ok(ParentMessage::Invoked { status: reply.status, value: reply.value })
    }

    /// Waits for the process's next message. `time` starts when the message does not come at once.
    fn answer(&self, time: &mut Option<Stopwatch>, budget_us: u32) -> Result<ChildMessage, ChildError> {
        let handoff = self.channel.handoff();
        if !handoff.spin(Peer::Parent, self.channel.spin_budget) {
            let time = time.get_or_insert_with(|| Stopwatch::start(self.process.clock(), budget_us));
            while !handoff.is(Peer::Parent) {
                let left = time.left().ok_or(ChildError::Timeout)?;
                handoff.sleep(Peer::Parent, Some(left.min(POLL_INTERVAL)));
                // Its last message may still have arrived.
                if !handoff.is(Peer::Parent) && self.process.is_gone() && !handoff.is(Peer::Parent) {
                    return Err(ChildError::Exited);
                }
            }
        }
        ChildMessage::read(self.channel.words()).ok_or(ChildError::Exited)
    }
}

/// Returns the length of the longest side of a packed frame whose pieces have up to `piece` bytes.
const fn most_packed(piece: u64) -> u64 {
    (MAX_WORDS * size_of::<u64>()) as u64 + MAX_ARGUMENTS as u64 * (piece + PIECE_ALIGNMENT as u64)
}

/// Returns a buffer for `length` bytes of a call of another module, with some more to align them; `None` if there is no memory, or it would be too long.
fn zeroed(length: u64) -> Option<Vec<u8>> {
    let length = usize::try_from(length).ok().filter(|_| length <= MAX_BUFFER_BYTES)? + PIECE_ALIGNMENT - 1;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).ok()?;
    bytes.resize(length, 0);
    Some(bytes)
}

/// Returns the part of `length` bytes of a buffer that is aligned for all pieces of a frame.
fn aligned(buffer: &mut [u8], length: u64) -> &mut [u8] {
    let start = buffer.as_ptr().align_offset(PIECE_ALIGNMENT);
    buffer.get_mut(start..start + length as usize).unwrap_or_default()
}

/// Calls another module, whose time does not count for the caller.
fn left_out<T>(time: &mut Option<Stopwatch>, call: impl FnOnce() -> T) -> T {
    let since = Instant::now();
    let done = call();
    if let Some(time) = time {
        // The process slept during this call.
        time.exclude([since.elapsed(), Duration::ZERO]);
    }
    done
}
