//! The test of memory that runs out at every possible point. More and more of the heap, or of the frames, is left
//! free, from nothing on, until a load, a reload, a restart, a call or an unload succeeds. Each attempt before is refused for
//! want of memory and leaves all memory as it was. A fault, the restart behind it, and an unload need none, and succeed at once.
//!
//! The test itself takes the memory, so the allocators need no code for it and cost nothing more.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_loader::{ExecuteError, LoadError, LoadOptions, RestartError, UnloadError, Usage};
use bareflow_suite::Source;
use bareflow_suite::archive::Archive;
use bareflow_suite::line;
use x86_64::structures::paging::PhysFrame;

use crate::console::KernelConsole;
use crate::containment::Manager;
use crate::memory::frames;

/// The bytes by which the free part of the heap grows in each step.
const STEP_BYTES: usize = 32;

/// The most pieces in which the heap is taken, and the smallest piece.
const PIECES: usize = 16 << 10;
const LEAST_PIECE_BYTES: usize = 16;

/// The number of steps after which an attempt should have succeeded.
const STEPS: usize = 8192;

/// Runs the test with the first two modules of the boot archive, of which the second replaces the first; returns
/// whether all went well.
pub fn run(manager: &Manager, archive: &Archive<'_>, load: &LoadOptions) -> bool {
    let console = &KernelConsole;
    let [first, second, ..] = &archive.blobs[..] else {
        line!(console, Error, "[ERROR] two modules of one name are wanted in the boot archive");
        return false;
    };
    // The first round allocates what stays allocated from here on.
    if let Err(error) =
        each(manager, [first, second], load, |_, attempt| attempt().map(|()| 0).map_err(|error| error.to_string()))
    {
        line!(console, Error, "[ERROR] with all memory there is: {error}");
        return false;
    }
    let mut passed = true;
    for (what, of) in [("the heap", exhaust_heap as Exhaust), ("frames", exhaust_frames)] {
        match each(manager, [first, second], load, of) {
            Ok(steps) => line!(
                console,
                Plain,
                "[OK] {what}: refused {} loads, {} first calls, {} reloads, {} restarts for want of memory, and no fault, \
                 no restart behind it, no unload",
                steps[0],
                steps[1],
                steps[2],
                steps[3]
            ),
            Err(error) => {
                line!(console, Error, "[ERROR] {what}: {error}");
                passed = false;
            }
        }
    }
    passed
}

/// The reason why an attempt failed. It is kept as a value, since there may be no memory for a text.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Call(#[from] ExecuteError),
    #[error(transparent)]
    Restart(#[from] RestartError),
    #[error(transparent)]
    Unload(#[from] UnloadError),
    #[error("the call returned {0}, expected a fault")]
    Returned(i32),
    #[error("held {held:?}, returned {returned:?}")]
    Unbalanced { held: Usage, returned: Option<Usage> },
}

/// A step that is tried until there is enough memory for it.
type Attempt<'attempt> = &'attempt mut dyn FnMut() -> Result<(), Refused>;

/// A function that makes an attempt with more and more free memory until it succeeds, and returns how often it
/// failed.
type Exhaust = fn(&Manager, Attempt<'_>) -> Result<usize, String>;

/// Runs a load, its first call, a fault, a restart behind that, a reload, a restart of what runs, and an unload, each with more
/// and more free memory. A fault, the restart behind it, and an unload need none. Returns how often each of the others failed.
fn each(
    manager: &Manager,
    blobs: [&Source<'_>; 2],
    load: &LoadOptions,
    exhaust: Exhaust,
) -> Result<[usize; 4], String> {
    let [first, second] = blobs;
    let mut now = None;
    let loads = exhaust(manager, &mut || {
        now = Some(manager.load_with(first.bytes, load)?);
        Ok(())
    })?;
    let id = now.ok_or("nothing was loaded")?;
    let calls = exhaust(manager, &mut || Ok(manager.execute(id).map(drop)?))?;
    let at_once = |what: &str, attempt: Attempt<'_>| match exhaust(manager, attempt)? {
        0 => Ok(()),
        steps => Err(format!("{what} was refused {steps} times, expected never")),
    };
    at_once("a call with a fault", &mut || match manager.execute_with(id, b"fault", &mut []) {
        Err(ExecuteError::Faulted(_)) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(done) => Err(Refused::Returned(done.result)),
    })?;
    at_once("a restart behind a fault", &mut || Ok(manager.restart(id, Some(first.bytes))?))?;
    at_once("a call behind that", &mut || Ok(manager.execute(id).map(drop)?))?;
    let mut now = id;
    let reloads = exhaust(manager, &mut || {
        now = manager.replace(second.bytes, load)?.id;
        Ok(())
    })?;
    let restarts = exhaust(manager, &mut || Ok(manager.restart(now, Some(second.bytes))?))?;
    at_once("an unload", &mut || {
        let receipt = manager.unload(now)?;
        let (held, returned) = (receipt.held, receipt.returned);
        if receipt.is_balanced() { Ok(()) } else { Err(Refused::Unbalanced { held, returned }) }
    })?;
    Ok([loads, calls, reloads, restarts])
}

/// Returns the memory in use, and the number of free frames.
fn in_use(manager: &Manager) -> (Usage, u64) {
    (manager.usage().unwrap_or_default(), frames::free_frames())
}

/// Checks that a refusal was for want of memory, and changed nothing.
fn check(manager: &Manager, before: (Usage, u64), error: &Refused, step: usize) -> Result<(), String> {
    // The usage is read before the text takes memory.
    let after = in_use(manager);
    let text = error.to_string();
    let for_memory = match error {
        Refused::Load(error) | Refused::Restart(RestartError::Load(error)) => error.is_for_memory(),
        Refused::Call(error) => error.is_for_memory(),
        Refused::Restart(_) | Refused::Unload(_) | Refused::Returned(_) | Refused::Unbalanced { .. } => false,
    };
    if !for_memory {
        return Err(format!("step {step}: {text}, expected a refusal for want of memory"));
    }
    if after != before {
        return Err(format!("step {step}: {before:?} before, {after:?} behind a refusal ({text})"));
    }
    Ok(())
}

fn exhaust_heap(manager: &Manager, attempt: Attempt<'_>) -> Result<usize, String> {
    let mut taken: Vec<Vec<u8>> = Vec::with_capacity(PIECES);
    for step in 0..STEPS {
        let before = in_use(manager);
        let hole = Vec::<u8>::with_capacity(step * STEP_BYTES);
        take_all(&mut taken);
        drop(hole);
        let done = attempt();
        taken.clear();
        match done {
            Ok(()) => return Ok(step),
            Err(error) => check(manager, before, &error, step)?,
        }
    }
    Err(format!("refused with {} free bytes still", STEPS * STEP_BYTES))
}

/// Takes all free memory of the heap, as far as `taken` has room for the pieces.
fn take_all(taken: &mut Vec<Vec<u8>>) {
    let mut size = 16 << 20;
    while size >= LEAST_PIECE_BYTES && taken.len() < taken.capacity() {
        let mut piece = Vec::new();
        match piece.try_reserve_exact(size) {
            Ok(()) => taken.push(piece),
            Err(_) => size /= 2,
        }
    }
}

fn exhaust_frames(manager: &Manager, attempt: Attempt<'_>) -> Result<usize, String> {
    let mut taken: Vec<PhysFrame> = Vec::with_capacity(frames::free_frames() as usize);
    taken.extend(core::iter::from_fn(frames::allocate));
    let mut done = Err("no step was made".to_string());
    for step in 0..STEPS {
        let before = in_use(manager);
        match attempt() {
            Ok(()) => {
                done = Ok(step);
                break;
            }
            Err(error) => {
                if let Err(error) = check(manager, before, &error, step) {
                    done = Err(error);
                    break;
                }
            }
        }
        match taken.pop() {
            Some(frame) => release(frame),
            None => {
                done = Err(format!("refused with all frames free; {step} were given back"));
                break;
            }
        }
    }
    taken.into_iter().for_each(release);
    done
}

/// Frees a frame that was taken.
fn release(frame: PhysFrame) {
    // SAFETY: `exhaust_frames` allocated it, and nothing uses it.
    unsafe { frames::release(frame) };
}
