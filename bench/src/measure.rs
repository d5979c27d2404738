//! Clock readings around foreign code.

use std::arch::x86_64::{_mm_lfence, _rdtsc};
use std::hint::black_box;

use bareflow_abi::{Context, Services};

/// The number of single calls that are timed.
const SINGLES: usize = 4_000;

/// The number of batches that are timed, and of calls in each.
const BATCHES: usize = 400;
const BATCH: u64 = 50;

/// A function that is measured.
#[derive(Clone, Copy)]
pub enum Code {
    /// A C function.
    C(extern "C" fn() -> i32),
    /// A module's entry.
    Module(extern "C" fn(*mut Context<'_>, u32) -> i32),
}

/// The ticks of single calls, and of calls in batches.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    /// The ticks that half of the single calls do not exceed.
    pub single_median: u64,
    /// The ticks of the cheapest single call.
    pub single_min: u64,
    /// The ticks per call that half of the batches do not exceed.
    pub batch_median: f64,
    /// The ticks per call of the cheapest batch.
    pub batch_min: f64,
}

/// Measures `codes` by turns, so that all run under the same conditions.
pub fn measure(codes: &[Code]) -> Vec<Ticks> {
    let mut singles = vec![Vec::with_capacity(SINGLES); codes.len()];
    let mut batches = vec![Vec::with_capacity(BATCHES); codes.len()];
    for _ in 0..SINGLES {
        for (code, times) in codes.iter().zip(&mut singles) {
            times.push(time(*code, 1));
        }
    }
    for _ in 0..BATCHES {
        for (code, times) in codes.iter().zip(&mut batches) {
            times.push(time(*code, BATCH));
        }
    }
    let sorted = |times: &mut Vec<u64>| times.sort_unstable();
    singles.iter_mut().chain(&mut batches).for_each(sorted);
    let per_call = |ticks: u64| ticks as f64 / BATCH as f64;
    let pairs = singles.iter().zip(&batches);
    pairs
        .map(|(single, batch)| Ticks {
            single_median: single[SINGLES / 2],
            single_min: single[0],
            batch_median: per_call(batch[BATCHES / 2]),
            batch_min: per_call(batch[0]),
        })
        .collect()
}

/// Measures the ticks of `count` calls.
fn time(code: Code, count: u64) -> u64 {
    match code {
        Code::C(function) => between(|| (0..count).for_each(|_| _ = black_box(black_box(function)()))),
        Code::Module(entry) => {
            let services = Services::new(log, clock);
            let mut context = Context::new(&services, &[], &mut []);
            let context: *mut Context<'_> = &raw mut context;
            between(|| (0..count).for_each(|_| _ = black_box(black_box(entry)(context, 0))))
        }
    }
}

/// Measures the ticks of `work`.
fn between(work: impl FnOnce()) -> u64 {
    let start = fenced();
    work();
    fenced() - start
}

/// Waits until all earlier instructions have completed.
#[inline(always)]
pub fn fence() {
    // SAFETY: every x86-64 processor has the instruction.
    unsafe { _mm_lfence() };
}

/// Reads the clock after everything before has completed.
#[inline(always)]
pub fn fenced() -> u64 {
    fence();
    plain()
}

/// Reads the clock, without ordering.
#[inline(always)]
pub fn plain() -> u64 {
    // SAFETY: as above, and Linux lets processes use it.
    unsafe { _rdtsc() }
}

/// Returns the entry of a loaded module, for calls without the loader.
pub fn entry(address: u64) -> Code {
    let pointer: *const () = std::ptr::with_exposed_provenance(address as usize);
    // SAFETY: the address is the entry of a module that the loader validated and placed and that stays loaded.
    Code::Module(unsafe { std::mem::transmute::<*const (), extern "C" fn(*mut Context<'_>, u32) -> i32>(pointer) })
}

extern "C" fn log(_: *mut Context<'_>, _: *const u8, _: usize) {}

extern "C" fn clock(_: *mut Context<'_>) -> u64 {
    0
}
