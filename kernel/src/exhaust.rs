//! Memory that runs out at every place there is: of the heap, and of the frames, ever more is left free, from
//! nothing on, until a load, a reload, a call or an unload has enough. Each time before, it is refused for want
//! of memory, and all memory is as it was.
//!
//! The memory is really gone, taken by whoever tries this. So nothing in allocators knows of it, and nothing costs
//! more for it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use bareflow_loader::{ExecuteError, LoadError, ModuleManager, UnloadError, Usage, line};
use bareflow_suite::Source;
use bareflow_suite::archive::Archive;
use x86_64::structures::paging::PhysFrame;

use crate::console::KernelConsole;
use crate::memory::{BootFacts, frames};
use crate::options::Options;
use crate::platform::KernelPlatform;

/// Bytes by which the free part of the heap grows.
const STEP_BYTES: usize = 32;

/// Pieces that the heap is taken in at most, and the least one.
const PIECES: usize = 16 << 10;
const LEAST_PIECE_BYTES: usize = 16;

/// Steps after which there should have been enough.
const STEPS: usize = 8192;

type Manager = ModuleManager<KernelPlatform>;

/// Tries it with the modules of the boot archive, of which the second replaces the first; says whether all went well.
pub fn run(boot: &'static BootFacts, options: &Options) -> bool {
    let console = &mut KernelConsole;
    let archive = Archive::read(boot.archive).unwrap_or_default();
    let [first, second, ..] = &archive.blobs[..] else {
        line!(console, Error, "[ERROR] two modules of one name are wanted in the boot archive");
        return false;
    };
    let manager = Manager::new(KernelPlatform::new(), options.timing);
    // What is taken once and stays is there from here on.
    if let Err(error) =
        each(&manager, [first, second], options, |_, attempt| attempt().map(|()| 0).map_err(|error| error.to_string()))
    {
        line!(console, Error, "[ERROR] with all memory there is: {error}");
        return false;
    }
    let mut passed = true;
    for (what, of) in [("the heap", exhaust_heap as Exhaust), ("frames", exhaust_frames)] {
        match each(&manager, [first, second], options, of) {
            Ok(steps) => line!(
                console,
                Plain,
                "[OK] {what}: refused {} loads, {} first calls, {} reloads, {} unloads for want of memory",
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

/// Why an attempt came to nothing: kept as it is, since there may be no memory for a text.
#[derive(Clone, Copy)]
enum Refused {
    Load(LoadError),
    Call(ExecuteError),
    Unload(UnloadError),
    Unbalanced { held: Usage, returned: Option<Usage> },
}

impl fmt::Display for Refused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Load(error) => error.fmt(out),
            Refused::Call(error) => error.fmt(out),
            Refused::Unload(error) => error.fmt(out),
            Refused::Unbalanced { held, returned } => write!(out, "held {held:?}, returned {returned:?}"),
        }
    }
}

/// Something that is done as soon as there is memory for it.
type Attempt<'attempt> = &'attempt mut dyn FnMut() -> Result<(), Refused>;

/// Makes an attempt with ever more free memory until it succeeds; returns how often it did not.
type Exhaust = fn(&Manager, Attempt<'_>) -> Result<usize, String>;

/// A load, its first call, a reload and an unload, each with ever more memory.
fn each(manager: &Manager, blobs: [&Source<'_>; 2], options: &Options, exhaust: Exhaust) -> Result<[usize; 4], String> {
    let [first, second] = blobs;
    let mut now = None;
    let loads = exhaust(manager, &mut || {
        now = Some(manager.load_with(first.bytes, &options.load).map_err(Refused::Load)?);
        Ok(())
    })?;
    let id = now.ok_or("nothing was loaded")?;
    let calls = exhaust(manager, &mut || manager.execute(id).map(drop).map_err(Refused::Call))?;
    let mut now = id;
    let reloads = exhaust(manager, &mut || {
        now = manager.replace(second.bytes, &options.load).map_err(Refused::Load)?.id;
        Ok(())
    })?;
    let unloads = exhaust(manager, &mut || {
        let receipt = manager.unload(now).map_err(Refused::Unload)?;
        let (held, returned) = (receipt.held, receipt.returned);
        if receipt.is_balanced() { Ok(()) } else { Err(Refused::Unbalanced { held, returned }) }
    })?;
    Ok([loads, calls, reloads, unloads])
}

/// What is in use, and the frames that are free.
fn in_use(manager: &Manager) -> (Usage, u64) {
    (manager.usage().unwrap_or_default(), frames::free_frames())
}

/// A refusal must be for want of memory, and change nothing.
fn check(manager: &Manager, before: (Usage, u64), error: &Refused, step: usize) -> Result<(), String> {
    // Before the text takes some.
    let after = in_use(manager);
    let text = error.to_string();
    if !text.contains("memory") {
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

/// Takes all that is free of the heap, as far as there is room for pieces of it.
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
            Some(frame) => frames::release(frame),
            None => {
                done = Err(format!("refused with all frames free; {step} were given back"));
                break;
            }
        }
    }
    taken.into_iter().for_each(frames::release);
    done
}
