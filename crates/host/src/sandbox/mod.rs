//! The process in which a module of the user domain runs: how it gives up its resources, and how it serves calls.
//!
//! Nothing here allocates or takes a lock, since the process starts as a fork of one with other threads.

mod ground;
mod mappings;

use allocator_api2::boxed::Box;
use std::arch::asm;
use std::cell::Cell;
use std::ffi::{c_int, c_ulong};
use std::mem::ManuallyDrop;
use std::ptr::{with_exposed_provenance, with_exposed_provenance_mut, without_provenance_mut};
use std::slice;

use bareflow_abi::CallRefusal;
use bareflow_abi::call::CALL_OK;
use bareflow_abi::header::NAME_SIZE;
use bareflow_abi::interface::{CallError, Frame, Reply, Shape, Side, Status};
use bareflow_loader::diagnosis::ServiceLog;
use bareflow_loader::segments::PAGE_SIZE;
use bareflow_loader::{Call, CallFailure, CallOutcome, Name, PeakUse, Printable, Timing};

use self::ground::Ground;
use self::mappings::{Fate, KeptRanges};
use crate::call::{Activation, LogSink, Stack, ThreadContext, code, trampoline};
use crate::channel::handoff::Peer;
use crate::channel::message::{ChildMessage, ParentMessage};
use crate::channel::{Channel, copy_across};
use crate::mapper::MapperThread;
use crate::memory::{Image, Window};
use crate::seccomp::leave;
use crate::watchdog::WatchSlot;
use crate::{seccomp, signals};

/// An upper bound of the size of a thread's own variables and of the C library's thread data above them.
const THREAD_SIZE: u64 = 8 << 10;

/// The state that the process keeps.
struct Life {
    ground: Ground,
    image: ManuallyDrop<Image>,
    /// The image's window, which is on the heap before, and here from the beginning on.
    window: Option<ManuallyDrop<Window>>,
    stack: Stack,
    channel: Channel,
    mapper: Option<MapperThread>,
    parent: u32,
    /// A slot that is not watched, since the parent watches the time.
    watch_slot: WatchSlot,
}

/// Runs the process, from its start to its end.
pub(crate) fn run(image: &Image, stack: Stack, channel: Channel, mapper: Option<MapperThread>, parent: u32) -> ! {
    let Ok(ground) = Ground::map() else { leave() };
    // SAFETY: the image is never dropped here, and this process has only this thread.
    let image = ManuallyDrop::new(unsafe { std::ptr::read(image) });
    // SAFETY: the same.
    let window = image.window.as_deref().map(|window| ManuallyDrop::new(unsafe { std::ptr::read(window) }));
    ground.go_on(Life { ground, image, window, stack, channel, mapper, parent, watch_slot: WatchSlot::unused() }, live)
}

/// Runs the process on a stack that contains nothing of the parent's.
extern "C" fn live(life: *mut Life) -> ! {
    // SAFETY: `go_on` put it at the top of this stack, where it stays for good; there is no reference to it yet.
    let Life { image, window, .. } = unsafe { &mut *life };
    if let Some(window) = window {
        // SAFETY: neither the copy, which stays, nor the image is ever dropped.
        let own = unsafe { Box::from_raw(&raw mut **window) };
        std::mem::forget(image.window.replace(own));
    }
    // SAFETY: as above; the references to its parts are not used any more.
    let life: &'static Life = unsafe { &*life };
    let sandboxed = sandbox(life);
    let Life { ref image, ref watch_slot, ref stack, .. } = *life;
    // SAFETY: the process drops neither of the two copies.
    let channel = unsafe { std::ptr::read(&raw const life.channel) };
    let thread = ManuallyDrop::new(ThreadContext {
        activation: Activation::inactive(),
        current: trampoline::current_call(),
        // Not used, since all calls here are checked.
        trampolines: code::RESTORING,
        stack: stack.alias(),
        watch_slot,
        log_sink: LogSink::Parent(channel),
        clock: None,
        limits: Cell::new(None),
        diagnosis: Cell::new(None),
        services: Cell::new(ServiceLog::EMPTY),
    });
    thread.bind_record();
    if let (Some(()), Some(name), LogSink::Parent(channel)) = (sandboxed, Name::new("confined"), &thread.log_sink) {
        // At this level, the parent requests nothing but calls.
        let _ = serve(channel, &ChildMessage::Ready, image, &name, &thread);
    }
    leave()
}

/// Sends `reply`, and makes the calls that the parent requests until it sends another message.
fn serve(
    channel: &Channel,
    reply: &ChildMessage,
    image: &Image,
    module: &Name,
    thread: &ThreadContext,
) -> ParentMessage {
    let handoff = channel.handoff();
    reply.write(channel.words());
    loop {
        handoff.hand_to(Peer::Parent, channel.spin_budget);
        if !handoff.spin(Peer::Child, channel.spin_budget) {
            while !handoff.is(Peer::Child) {
                handoff.sleep(Peer::Child, None);
            }
        }
        match ParentMessage::read(channel.words()) {
            Some(ParentMessage::Call { entry, reason, caller, input, output }) => {
                let (address, length) = (with_exposed_provenance(input.0 as usize), input.1 as usize);
                // SAFETY: the parent gave this part of the channel to this call's input only.
                let input = unsafe { slice::from_raw_parts(address, length) };
                let (address, length) = (with_exposed_provenance_mut(output.0 as usize), output.1 as usize);
                // SAFETY: and this part to its output.
                let output = unsafe { slice::from_raw_parts_mut(address, length) };
                // SAFETY: the parent sends only entries of images that its loader placed, and this process contains their code.
                let call = unsafe { Call::new(module, image, entry, reason, input, Timing::Fast) };
                let call = call.checked().with_caller(caller);
                let reply = match trampoline::call(call, output, thread, None) {
                    Ok(returned) => ChildMessage::Returned(returned.outcome),
                    Err(CallFailure::Fault(fault)) => ChildMessage::Faulted(fault, thread.diagnosis.take()),
                    // The trampoline needs no memory.
                    Err(CallFailure::NoMemory) => leave(),
                };
                reply.write(channel.words());
            }
            Some(ParentMessage::Peak) => {
                let stack_bytes = Some(thread.stack.peak_below(image.stack_top));
                ChildMessage::Peak(PeakUse { stack_bytes, heap_bytes: image.peak_heap() }).write(channel.words());
            }
            Some(ParentMessage::MemorySize(bytes)) => {
                image.window.iter().for_each(|window| window.note_grown(bytes));
                image.write_memory_size();
                ChildMessage::Ready.write(channel.words());
            }
            Some(ParentMessage::Copy { from, to, length }) => {
                // SAFETY: the parent has checked that one of the two is of the module's data, which does not run, and the other
                // in the channel, where it does not use it now.
                unsafe { copy_across(from, to, length as usize) };
                ChildMessage::Ready.write(channel.words());
            }
            Some(request) => return request,
            None => leave(),
        }
    }
}

impl LogSink {
    /// Passes on a line that a module logs.
    pub fn forward(&self, module: &Name, text: &[u8]) {
        match self {
            LogSink::Log(log) => log(format_args!("  [LOG] {module}: {}", Printable(text))),
            LogSink::Parent(channel) => forward(channel, text),
        }
    }
}

/// Makes the parent log a line of the running call.
fn forward(channel: &Channel, text: &[u8]) {
    trampoline::with_current(|activation| {
        channel.put(0, text);
        // The parent only ever answers that the call may continue.
        serve_more(channel, activation, &ChildMessage::Log(text.len() as u64))
    });
}

/// Sends `reply` for a running call, and serves the parent as [`serve`] does.
fn serve_more(channel: &Channel, activation: &Activation, reply: &ChildMessage) -> ParentMessage {
    serve(channel, reply, activation.image(), activation.module(), activation.thread())
}

/// Makes the parent call another module for the running call.
pub(crate) fn call(
    channel: &Channel,
    activation: &Activation,
    name: &[u8],
    input: &[u8],
    output: &mut [u8],
) -> Result<CallOutcome, CallRefusal> {
    // No module has an invalid name.
    let name = std::str::from_utf8(name).ok().and_then(Name::new).ok_or(CallRefusal::NotDeclared)?;
    let mut field = [0; NAME_SIZE];
    field.iter_mut().zip(name.as_str().bytes()).for_each(|(target, byte)| *target = byte);
    let ask = |reply: &ChildMessage| serve_more(channel, activation, reply);
    let request = ask(&ChildMessage::Call { name: field, input: input.len() as u64, output: output.len() as u64 });
    let (request, output_at) = match request {
        ParentMessage::Room { input: input_at, output: output_at } => {
            channel.note_grown((input_at + input.len() as u64).max(output_at + output.len() as u64));
            channel.put(input_at, input);
            (ask(&ChildMessage::Passed), output_at)
        }
        refused => (refused, 0),
    };
    match request {
        ParentMessage::Called { status: CALL_OK, outcome } => {
            let length = outcome.output_length.min(output.len());
            if let Some(output) = output.get_mut(..length) {
                channel.get(output_at, output);
            }
            Ok(CallOutcome { output_length: length, ..outcome })
        }
        ParentMessage::Called { status, .. } => Err(CallRefusal::from_number(status)),
        // The parent broke the protocol.
        _ => leave(),
    }
}

/// Asks the parent for the shape of a method of an import.
pub(crate) fn shape(channel: &Channel, activation: &Activation, import: u32, method: u32) -> Result<Shape, CallError> {
    match serve_more(channel, activation, &ChildMessage::Shape { import, method }) {
        ParentMessage::Shape { bits, status: 0 } => Shape::from_bits(bits).ok_or(CallError::NoSuchMethod),
        ParentMessage::Shape { status, .. } => match Status::from_number(status) {
            Status::Failed(error) => Err(error),
            _ => leave(),
        },
        // The parent broke the protocol.
        _ => leave(),
    }
}

/// Makes the parent call a method of an import for the running call.
pub(crate) fn invoke(
    channel: &Channel,
    activation: &Activation,
    import: u32,
    method: u32,
    frame: &mut Frame<'_>,
) -> Reply {
    let Some((input, output)) = frame.packed_sizes() else { return CallError::NoMemory.into() };
    let ask = |reply: &ChildMessage| serve_more(channel, activation, reply);
    let request = ChildMessage::Invoke { import, method, input: input as u64, output: output as u64 };
    let (reply, output_at) = match ask(&request) {
        ParentMessage::Room { input: input_at, output: output_at } => {
            channel.note_grown((input_at + input as u64).max(output_at + output as u64));
            frame.pack(|side, at, bytes| {
                let start = if side == Side::Input { input_at } else { output_at };
                channel.put(start + at as u64, bytes);
            });
            (ask(&ChildMessage::Passed), output_at)
        }
        refused => (refused, 0),
    };
    match reply {
        ParentMessage::Invoked { status, .. } if output_at > 0 => {
            let get = |at: usize, bytes: &mut [u8]| channel.get(output_at + at as u64, bytes);
            frame.take_packed(Status::from_number(status), get)
        }
        ParentMessage::Invoked { status, value } => Reply { status, value },
        // The parent broke the protocol.
        _ => leave(),
    }
}

/// Asks the parent for more linear memory for the running call.
pub(crate) fn grow(channel: &Channel, activation: &Activation, window: &Window, pages: u64) -> u64 {
    match serve_more(channel, activation, &ChildMessage::Grow(pages)) {
        ParentMessage::Grown { before, bytes } => {
            window.note_grown(bytes);
            before
        }
        // The parent broke the protocol.
        _ => leave(),
    }
}

/// Asks the parent where bytes lie that the running call passes on, if they lie in a region that it has open.
pub(crate) fn find_in_region(
    channel: &Channel,
    activation: &Activation,
    address: u64,
    length: u64,
    to_write: bool,
) -> Option<u64> {
    match serve_more(channel, activation, &ChildMessage::Find { address, length, to_write }) {
        // A region lies at the same address in both processes.
        ParentMessage::Found(is_there) => is_there.then_some(address),
        // The parent broke the protocol.
        _ => leave(),
    }
}

/// Gives up everything that the module and its calls do not need.
fn sandbox(life: &Life) -> Option<()> {
    option(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong)?;
    // SAFETY: takes no arguments and always succeeds.
    if unsafe { libc::getppid() }.cast_unsigned() != life.parent {
        return None;
    }
    let (start, size) = life.ground.signals();
    signals::sandbox(start, size).ok()?;
    strip(life)?;
    option(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    if let Some(mapper) = &life.mapper {
        mapper.start()?;
    }
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: no descriptor is used after this; the limit is this frame's own.
    unsafe {
        done(libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) as c_int)?;
        done(libc::setrlimit(libc::RLIMIT_CORE, &raw const none))?;
    }
    option(libc::PR_SET_DUMPABLE, 0)?;
    seccomp::sandbox(life.channel.handoff().word()).ok()
}

/// Unmaps everything else that the process inherited, and zeroes the mappings that must stay but whose contents must
/// not.
fn strip(life: &Life) -> Option<()> {
    let Life { ref channel, ref image, ref stack, ref mapper, ground, .. } = *life;
    let length = read_maps(channel)?;
    // SAFETY: these bytes have just been read, and nothing changes them.
    let maps = unsafe { slice::from_raw_parts(with_exposed_provenance(channel.data(0) as usize), length as usize) };
    let variables = thread_pages(maps)?;
    let [text, rodata, data] = image.segments.mapped().map(|(start, size)| (start, start + size));
    let orders = mapper.as_ref().map_or((0, 0), MapperThread::range);
    let window = image.window.as_ref().map_or((0, 0), |window| window.range());
    let ranges = [text, rodata, data, stack.range(), channel.range(), ground.range(), variables, orders, window];
    // The functions that compiled code calls implicitly, and those called here. Most are the C library's, and depend on
    // its variables.
    let library = [
        libc::memcpy as *const () as u64,
        libc::memmove as *const () as u64,
        libc::memset as *const () as u64,
        libc::memcmp as *const () as u64,
        libc::syscall as *const () as u64,
        libc::prctl as *const () as u64,
    ];
    let kept = KeptRanges { ranges: &ranges, code: &[live as *const () as u64], variables: &library };
    mappings::unmap_all_except(maps, kept, |fate, start, end| match fate {
        // SAFETY: nothing that this process still uses lies there.
        Fate::Unmap => unsafe { libc::munmap(without_provenance_mut(start as usize), (end - start) as usize) == 0 },
        Fate::Zero => zero(start, end),
    })?;
    // Other modules have run on the stacks, and other code has used this thread's variables.
    let (start, end) = stack.range();
    // SAFETY: the pages are this process's own, and contain nothing that it uses; they become zeros.
    done(unsafe {
        libc::madvise(without_provenance_mut(start as usize), (end - start) as usize, libc::MADV_DONTNEED)
    })?;
    let pointer = thread_pointer();
    if !zero(variables.0, variables.1) {
        return None;
    }
    for word in [0, 16] {
        // The thread block's own address, in both places where code expects it (System V ABI 3.4.6, and the GNU C
        // library's). SAFETY: the words lie in the pages that were just mapped.
        unsafe { with_exposed_provenance_mut::<u64>((pointer + word) as usize).write_volatile(pointer) };
    }
    // The list shows where everything was mapped.
    channel.clear(0, length as usize);
    Some(())
}

/// Reads the list of mappings into the channel, and returns its length.
fn read_maps(channel: &Channel) -> Option<u64> {
    // SAFETY: the path is a C string.
    let maps = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY) };
    let room = channel.room();
    let mut length = 0;
    loop {
        let pointer = with_exposed_provenance_mut::<u8>(channel.data(length) as usize);
        // SAFETY: `room` bytes of the channel belong to this side until it hands over its turn.
        match unsafe { libc::read(maps, pointer.cast(), (room - length) as usize) } {
            // A list that fills the room may be incomplete.
            0 => return Some(length).filter(|&length| length < room),
            count => length += u64::try_from(count).ok()?,
        }
    }
}

/// Returns the pages with this thread's variables that are used here, and with its C library's thread data.
fn thread_pages(maps: &[u8]) -> Option<(u64, u64)> {
    let pointer = thread_pointer();
    // SAFETY: takes no arguments and always succeeds.
    let errors = unsafe { libc::__errno_location() }.addr() as u64;
    let (start, end) = mappings::mapping_of(maps, pointer)?;
    let used = [errors, (&raw const *trampoline::current_call()).addr() as u64, pointer];
    let first = used.into_iter().min()?;
    let used = used.into_iter().all(|address| (start..end).contains(&address));
    let pages = (first & !(PAGE_SIZE - 1), end.min((pointer + THREAD_SIZE).next_multiple_of(PAGE_SIZE)));
    Some(pages).filter(|_| used)
}

/// Replaces a range by zeroed pages.
fn zero(start: u64, end: u64) -> bool {
    let (pointer, protection) = (without_provenance_mut(start as usize), libc::PROT_READ | libc::PROT_WRITE);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: callers have nothing there that this process still uses.
    unsafe { libc::mmap(pointer, (end - start) as usize, protection, flags, -1, 0) == pointer }
}

/// Returns the thread pointer: the thread's variables lie below it, and its C library's data above.
fn thread_pointer() -> u64 {
    let pointer;
    // SAFETY: the word at FS:0 contains its own address (System V ABI 3.4.6).
    unsafe { asm!("mov {}, fs:[0]", out(reg) pointer, options(nostack, readonly, preserves_flags)) };
    pointer
}

/// Sets an option of this process.
fn option(option: c_int, value: c_ulong) -> Option<()> {
    // SAFETY: the options used here take a number, and change no memory.
    done(unsafe { libc::prctl(option, value, 0 as c_ulong, 0 as c_ulong, 0 as c_ulong) })
}

fn done(result: c_int) -> Option<()> {
    (result == 0).then_some(())
}
