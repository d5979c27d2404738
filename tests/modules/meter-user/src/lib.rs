//! Measures calls by an interface, of the kernel and of another module: one line for each, with what it took.

#![no_std]

use core::arch::x86_64::_rdtsc;
use core::fmt::Write;
use core::hint::black_box;

use bareflow_abi::{Context, Out};
use meter_interface::Meter;

bareflow_abi::module!(measure, imports = { kernel: Meter, module: Meter });

/// The number of calls of which the fastest counts.
const CALLS: usize = 65;

/// The sizes of slices, in bytes.
const SIZES: [usize; 3] = [64, 4096, 65_536];

/// Returns what `call` takes, in ticks.
fn ticks(mut call: impl FnMut()) -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and the kernel admits it in ring 3.
    let now = || unsafe { _rdtsc() };
    let fastest = |call: &mut dyn FnMut()| {
        let times = (0..CALLS).map(|_| {
            let start = now();
            call();
            now() - start
        });
        times.min().unwrap_or_default()
    };
    let all = fastest(&mut call);
    all.saturating_sub(fastest(&mut || ()))
}

fn measure_one(out: &mut Context<'_>, name: &str, meter: &mut impl Meter) -> core::fmt::Result {
    let (bytes, mut room) = ([1; SIZES[2]], [0; SIZES[2]]);
    writeln!(out, "{name} add {}", ticks(|| _ = black_box(meter.add(1, 2))))?;
    writeln!(out, "{name} one slice {}", ticks(|| _ = black_box(meter.one(&bytes[..8]))))?;
    writeln!(out, "{name} two slices {}", ticks(|| _ = black_box(meter.two(&bytes[..8], &bytes[8..16]))))?;
    for size in SIZES {
        let read = ticks(|| _ = black_box(meter.one(&bytes[..size])));
        let fill = ticks(|| _ = black_box(meter.fill(&mut Out::new(&mut room[..size]))));
        let copy = ticks(|| black_box(&mut room)[..size].copy_from_slice(black_box(&bytes[..size])));
        writeln!(out, "{name} {size} bytes in {read}, out {fill}, a copy {copy}")?;
    }
    Ok(())
}

fn measure(context: &mut Context<'_>, mut with: Imports<'_>) -> i32 {
    let kernel = measure_one(context, "kernel", &mut with.kernel);
    let module = measure_one(context, "module", &mut with.module);
    if kernel.and(module).is_ok() { 0 } else { -1 }
}
