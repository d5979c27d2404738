//! The process in which a module of the user domain runs: how it gives up what
//! it has, and what it does then. Nothing here allocates or takes a lock,
//! since the process begins as the copy of one with other threads.

use std::arch::asm;
use std::cell::Cell;
use std::ffi::{c_int, c_ulong};
use std::mem::ManuallyDrop;
use std::ptr::{null_mut, with_exposed_provenance, with_exposed_provenance_mut, without_provenance_mut};
use std::slice;
use std::sync::atomic::Ordering;

use bareflow_abi::CallRefused;
use bareflow_abi::call::CALLED;
use bareflow_abi::header::NAME_SIZE;
use bareflow_loader::diagnosis::ServiceLog;
use bareflow_loader::{Call, CallError, Name, Outcome, Timing};

use crate::caller::{Caller, Lines};
use crate::channel::Channel;
use crate::gate;
use crate::mappings::{self, Kept};
use crate::memory::Image;
use crate::record::Record;
use crate::stack::Stack;
use crate::turn::Side;
use crate::watchdog::Watched;
use crate::wire::{Reply, Request};
use crate::{seccomp, signals};

/// Nobody looks there: the parent watches the time.
static UNWATCHED: Watched = Watched::nobody();

/// The whole life of the process.
pub(crate) fn run(image: &Image, stack: Stack, channel: Channel, parent: u32) -> ! {
    let thread = gate::thread();
    // A call that the parent is inside of is none of this process's.
    thread.store(null_mut(), Ordering::Relaxed);
    let confined = confine(image, &stack, &channel, parent);
    let caller = ManuallyDrop::new(Caller {
        record: Record::idle(),
        thread,
        stack,
        watched: &UNWATCHED,
        lines: Lines::Parent(channel),
        clock: None,
        diagnosis: Cell::new(None),
        services: Cell::new(ServiceLog::EMPTY),
    });
    caller.settle();
    if let (Some(()), Some(name), Lines::Parent(channel)) = (confined, Name::new("confined"), &caller.lines) {
        // Nothing but calls is asked for here.
        let _ = serve(channel, &Reply::Ready, image, &name, &caller);
    }
    leave()
}

/// Sends `reply`, and makes the calls that the parent asks for until it says something else.
fn serve(channel: &Channel, reply: &Reply, image: &Image, module: &Name, caller: &Caller) -> Request {
    let turn = channel.turn();
    reply.write(channel.words());
    loop {
        turn.pass_to(Side::Parent, channel.patience);
        if !turn.look(Side::Child, channel.patience) {
            while !turn.is(Side::Child) {
                turn.sleep(Side::Child, None);
            }
        }
        match Request::read(channel.words()) {
            Some(Request::Call { entry, reason, input, output }) => {
                let (address, length) = (with_exposed_provenance(input.0 as usize), input.1 as usize);
                // SAFETY: the parent gave this part of the channel to the input of this call alone.
                let input = unsafe { slice::from_raw_parts(address, length) };
                let (address, length) = (with_exposed_provenance_mut(output.0 as usize), output.1 as usize);
                // SAFETY: and this one to its output.
                let output = unsafe { slice::from_raw_parts_mut(address, length) };
                let call = Call { module, image, entry, reason, input, timing: Timing::Fast, thorough: true };
                let reply = match gate::call(call, output, caller, None) {
                    Ok(returned) => Reply::Returned(returned.outcome),
                    Err(CallError::Fault(fault)) => Reply::Faulted(fault, caller.diagnosis.take()),
                    // The gate needs no memory.
                    Err(CallError::NoMemory) => leave(),
                };
                reply.write(channel.words());
            }
            Some(request) => return request,
            None => leave(),
        }
    }
}

/// Has the parent log a line of the call under way.
pub(crate) fn pass_on(channel: &Channel, text: &[u8]) {
    if let Some(record) = gate::current() {
        channel.put(0, text);
        // It says nothing else than to go on.
        let _ = serve(channel, &Reply::Log(text.len() as u64), record.image(), record.module(), record.caller());
    }
}

/// Has the parent call another module for the call under way.
pub(crate) fn call(
    channel: &Channel,
    record: &Record,
    name: &[u8],
    input: &[u8],
    output: &mut [u8],
) -> Result<Outcome, CallRefused> {
    // What is no name is nobody's.
    let name = std::str::from_utf8(name).ok().and_then(Name::new).ok_or(CallRefused::NotDeclared)?;
    let mut field = [0; NAME_SIZE];
    field.iter_mut().zip(name.as_str().bytes()).for_each(|(place, byte)| *place = byte);
    let ask = |reply: &Reply| serve(channel, reply, record.image(), record.module(), record.caller());
    let request = ask(&Reply::Call { name: field, input: input.len() as u64, output: output.len() as u64 });
    let (request, output_at) = match request {
        Request::Room { input: input_at, output: output_at } => {
            channel.note_grown((input_at + input.len() as u64).max(output_at + output.len() as u64));
            channel.put(input_at, input);
            (ask(&Reply::Passed), output_at)
        }
        refused => (refused, 0),
    };
    match request {
        Request::Called { status: CALLED, outcome } => {
            let length = outcome.output_length.min(output.len());
            if let Some(output) = output.get_mut(..length) {
                channel.get(output_at, output);
            }
            Ok(Outcome { output_length: length, ..outcome })
        }
        Request::Called { status, .. } => Err(CallRefused::from_number(status)),
        // The parent is at odds with itself.
        _ => leave(),
    }
}

/// Gives up all but what the module and its calls need.
fn confine(image: &Image, stack: &Stack, channel: &Channel, parent: u32) -> Option<()> {
    option(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong)?;
    // SAFETY: takes nothing and always succeeds.
    if unsafe { libc::getppid() }.cast_unsigned() != parent {
        return None;
    }
    signals::confine().ok()?;
    unmap(image, stack, channel)?;
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: nobody uses a descriptor after this; the limit is this frame's own.
    unsafe {
        done(libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) as c_int)?;
        done(libc::setrlimit(libc::RLIMIT_CORE, &raw const none))?;
    }
    option(libc::PR_SET_DUMPABLE, 0)?;
    option(libc::PR_SET_NO_NEW_PRIVS, 1)?;
    seccomp::confine().ok()
}

/// Unmaps what else the process inherited: above all memory that it shares with others.
fn unmap(image: &Image, stack: &Stack, channel: &Channel) -> Option<()> {
    // SAFETY: the path is a C string.
    let maps = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY) };
    let room = channel.room();
    let mut length = 0;
    loop {
        let place = with_exposed_provenance_mut::<u8>(channel.data(length) as usize);
        // SAFETY: `room` bytes of the channel are this side's until it passes the turn on.
        match unsafe { libc::read(maps, place.cast(), (room - length) as usize) } {
            // A list that does not fit is not the whole list.
            0 if length < room => break,
            count => length += u64::try_from(count).ok().filter(|&count| count > 0)?,
        }
    }
    // SAFETY: these bytes have just been read, and nobody changes them.
    let maps = unsafe { slice::from_raw_parts(with_exposed_provenance(channel.data(0) as usize), length as usize) };
    let [text, rodata, data] = image.segments.mapped().map(|(start, size)| (start, start + size));
    let ranges = [text, rodata, data, stack.range(), channel.range(), signals::stack()?];
    let local = (&raw const ranges).addr() as u64;
    // SAFETY: takes nothing and always succeeds.
    let errors = unsafe { libc::__errno_location() }.addr() as u64;
    let around = [local, errors, gate::thread().as_ptr().addr() as u64, thread_pointer()];
    mappings::strip(maps, Kept { ranges: &ranges, around: &around }, |start, end| {
        // SAFETY: nothing that this process goes on to use lies there.
        unsafe { libc::munmap(without_provenance_mut(start as usize), (end - start) as usize) == 0 }
    })
}

/// What the variables of this thread lie below, and its C library's notes above.
fn thread_pointer() -> u64 {
    let pointer;
    // SAFETY: the word there is its own address (System V ABI 3.4.6).
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

fn leave() -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(1) }
}
