//! Measures rings in shared memory between this module and another one: one line for each, with what it took.

#![no_std]

use core::arch::x86_64::_rdtsc;
use core::fmt::Write;
use core::hint::black_box;

use bareflow_abi::shared::{Consumer, Pool, Producer, SharedBytes};
use bareflow_abi::{CallError, Context};
use bareflow_regions::{Access, RegionError, Regions};
use ring_interface::{BUFFER_BYTES, BUFFERS, ELEMENTS, REGION_BYTES, RING_BYTES, Ring, STRIDE};

bareflow_abi::module!(measure, imports = { regions: Regions, ring: Ring });

/// The number of runs of which the fastest counts.
const RUNS: usize = 33;

fn bad<E>(_: E) -> RegionError {
    CallError::BadAnswer.into()
}

/// The ticks of one run of `work`, the fastest.
fn ticks(mut work: impl FnMut() -> Result<(), RegionError>) -> Result<u64, RegionError> {
    // SAFETY: every x86-64 processor has the instruction, and the kernel admits it in ring 3.
    let now = || unsafe { _rdtsc() };
    let mut fastest = u64::MAX;
    for _ in 0..RUNS {
        let start = now();
        work()?;
        fastest = fastest.min(now() - start);
    }
    Ok(fastest)
}

/// The two rings and the buffers of a region.
fn parts(bytes: SharedBytes<'_>) -> Result<[SharedBytes<'_>; 3], RegionError> {
    let part = |offset, length| bytes.part(offset, length).ok_or(RegionError::TooLarge);
    let buffers = part(2 * RING_BYTES, REGION_BYTES - 2 * RING_BYTES)?;
    Ok([part(0, RING_BYTES)?, part(RING_BYTES, RING_BYTES)?, buffers])
}

fn measure_all(context: &mut Context<'_>, mut with: Imports<'_>) -> Result<(), RegionError> {
    let regions = &mut with.regions;
    let region = regions.create(REGION_BYTES as u64)?;
    regions.lend(region, "ring", Access::Shared)?;
    let (mut there, mut back, mut taken) = (0, 0, [0; 1]);
    with.ring.begin()?;
    let elements = ticks(|| {
        let view = regions.shared(region)?;
        let mut ring = Producer::new(parts(view.bytes())?[0], there).map_err(bad)?;
        for element in 0..ELEMENTS as u64 {
            ring.push(element).map_err(bad)?;
        }
        there = ring.position();
        black_box(with.ring.elements(region)?);
        Ok(())
    })?;
    let mut lend = |fill: &dyn Fn(SharedBytes<'_>)| {
        ticks(|| {
            let view = regions.shared(region)?;
            let [first, second, buffers] = parts(view.bytes())?;
            let mut ring = Producer::new(first, there).map_err(bad)?;
            let mut pool = Pool::new(&mut taken, BUFFERS);
            while let Some(index) = pool.take() {
                fill(buffers.buffer(index, STRIDE).ok_or(RegionError::TooLarge)?);
                ring.push(u64::from(index)).map_err(bad)?;
            }
            there = ring.position();
            black_box(with.ring.lent(region)?);
            let mut ring = Consumer::<u64>::new(second, back).map_err(bad)?;
            while let Some(index) = ring.pop().map_err(bad)? {
                pool.give(index as u32).map_err(bad)?;
            }
            back = ring.position();
            Ok(())
        })
    };
    let bytes = [1; BUFFER_BYTES];
    let lent = lend(&|_| ())?;
    let written = lend(&|buffer| _ = buffer.write(0, black_box(&bytes)))?;
    let copied = ticks(|| with.ring.copied(black_box(&bytes)).map(|sum| _ = black_box(sum)))?;
    let open = ticks(|| regions.shared(region).map(|_| ()))?;
    let moved = regions.create(4096)?;
    let mut lend = || {
        regions.lend(moved, "ring", Access::Exclusive)?;
        regions.take_back(moved)
    };
    let lend = ticks(&mut lend)?;
    let mapped = ticks(|| {
        let region = regions.create(4096)?;
        regions.exclusive(region)?[0] = 1;
        regions.destroy(region)
    })?;
    let buffers = u64::from(BUFFERS);
    let done = write!(
        context,
        "ring {ELEMENTS} elements {elements}\nring element {}\nbuffer lent {}\nbuffer written and lent {}\nbuffer copied \
         {copied}\nregion opened and closed {open}\nregion lent and taken back {lend}\nregion created and \
         freed {mapped}\n",
        elements / ELEMENTS as u64,
        lent / buffers,
        written / buffers,
    );
    done.map_err(bad)
}

fn measure(context: &mut Context<'_>, with: Imports<'_>) -> i32 {
    match measure_all(context, with) {
        Ok(()) => 0,
        Err(error) => -(bareflow_abi::Failure::number(&error) as i32),
    }
}
