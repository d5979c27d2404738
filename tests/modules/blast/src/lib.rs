//! Measures what a frame takes on its way through a driver: one line for each size and number of frames at a time. Another
//! card on the same wire, with a driver of its own, receives what is sent, and sends what is received.

#![no_std]

use core::arch::x86_64::_rdtsc;
use core::fmt::Write;
use core::hint::spin_loop;

use bareflow_abi::{CallError, Context, Failure, Out};
use bareflow_nic::{Buffer, Completion, Nic, NicError};
use bareflow_regions::{Access, RegionError, Regions, RegionsClient};

bareflow_abi::module!(measure, imports = { near: Nic, far: Nic, regions: Regions });

/// The number of runs of which the fastest counts, and the most that are made for them.
const RUNS: usize = 17;
const MOST_RUNS: usize = 200;

/// The lengths of frames, in bytes, and the numbers of frames at a time.
const LENGTHS: [u32; 2] = [64, 1500];
const BATCHES: [usize; 2] = [1, MOST];

/// The most frames at a time.
const MOST: usize = 32;

/// The size of a buffer. A card sends the first [`MOST`] of its buffers, and receives into as many others.
const BUFFER_BYTES: u32 = 2048;

/// The times that a card is looked at until it is done.
const LOOKS: usize = 100_000;

/// The addresses and the type of a frame for all: one for experiments (IEEE 802, 9.2.3).
const HEADER: [u8; 14] = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];

/// A card, and the number of the memory that it has of this module.
struct Card<'client, N> {
    nic: &'client mut N,
    memory: u32,
}

impl<N: Nic> Card<'_, N> {
    /// Returns buffers from the number `first` on.
    fn buffers(&self, first: usize, length: u32) -> [Buffer; MOST] {
        core::array::from_fn(|index| {
            let token = (first + index) as u16;
            Buffer { memory: self.memory, offset: u32::from(token) * BUFFER_BYTES, length, token, flags: 0 }
        })
    }

    fn receive(&mut self, count: usize) -> Result<(), NicError> {
        let buffers = self.buffers(MOST, BUFFER_BYTES);
        all(self.nic.receive(&buffers[..count])?, count)
    }

    fn send(&mut self, count: usize, length: u32) -> Result<(), NicError> {
        let buffers = self.buffers(0, length);
        all(self.nic.send(&buffers[..count])?, count)
    }

    /// Returns how many frames were received. There is room for one more than `count`, so the driver is told of the next.
    fn received(&mut self, count: usize) -> Result<usize, NicError> {
        let mut done = [Completion::default(); MOST + 1];
        let mut out = Out::new(&mut done[..=count]);
        self.nic.received(&mut out)?;
        Ok(out.written().len())
    }

    /// Returns how many frames were sent.
    fn sent(&mut self, count: usize) -> Result<usize, NicError> {
        let mut done = [Completion::default(); MOST + 1];
        let mut out = Out::new(&mut done[..=count]);
        self.nic.sent(&mut out)?;
        Ok(out.written().len())
    }
}

/// Returns an error unless a card took all frames.
fn all(taken: u32, count: usize) -> Result<(), NicError> {
    if taken as usize == count { Ok(()) } else { Err(NicError::Failed) }
}

/// Waits until `work` was done `count` times.
fn wait(count: usize, mut work: impl FnMut(usize) -> Result<usize, NicError>) -> Result<(), NicError> {
    let mut done = 0;
    for _ in 0..LOOKS {
        done += work(count)?;
        if done == count {
            return Ok(());
        }
        pause();
    }
    Err(NicError::Failed)
}

/// Lets the other end of the wire work.
fn pause() {
    (0..1000).for_each(|_| spin_loop());
}

/// Returns the ticks that `work` takes, and its result.
fn ticks<T>(work: impl FnOnce() -> Result<T, NicError>) -> Result<(u64, T), NicError> {
    // SAFETY: every x86-64 processor has the instruction, and the kernel admits it in ring 3.
    let now = || unsafe { _rdtsc() };
    let start = now();
    let done = work()?;
    let end = now();
    Ok(((end - start).saturating_sub(now() - end), done))
}

/// Returns the fewest ticks of runs that say theirs.
fn fewest(mut run: impl FnMut() -> Result<Option<u64>, NicError>) -> Result<u64, NicError> {
    let (mut fewest, mut runs) = (u64::MAX, 0);
    for _ in 0..MOST_RUNS {
        if let Some(ticks) = run()? {
            (fewest, runs) = (fewest.min(ticks), runs + 1);
            if runs == RUNS {
                return Ok(fewest);
            }
        }
    }
    Err(NicError::Failed)
}

/// Returns what the nearer card's driver takes to send `count` frames, if they all are sent when it is asked.
fn send(near: &mut Card<'_, impl Nic>, far: &mut Card<'_, impl Nic>, count: usize, length: u32) -> Ticks {
    far.receive(count)?;
    let (send, ()) = ticks(|| near.send(count, length))?;
    wait(count, |count| far.received(count))?;
    pause();
    let (sent, found) = ticks(|| near.sent(count))?;
    if found < count {
        wait(count - found, |count| near.sent(count))?;
    }
    Ok((found == count).then_some(send + sent))
}

/// Returns what the nearer card's driver takes to receive `count` frames, if they all are there when it is asked.
fn receive(near: &mut Card<'_, impl Nic>, far: &mut Card<'_, impl Nic>, count: usize, length: u32) -> Ticks {
    let (receive, ()) = ticks(|| near.receive(count))?;
    far.send(count, length)?;
    wait(count, |count| far.sent(count))?;
    pause();
    let (received, found) = ticks(|| near.received(count))?;
    if found < count {
        wait(count - found, |count| near.received(count))?;
    }
    Ok((found == count).then_some(receive + received))
}

/// The ticks of a run that counts.
type Ticks = Result<Option<u64>, NicError>;

/// Starts a card, and gives it memory with frames to send.
fn set_up<'client, N: Nic>(
    nic: &'client mut N,
    driver: &str,
    regions: &mut RegionsClient<'_>,
) -> Result<Card<'client, N>, NicError> {
    let bad = |_: RegionError| NicError::BadRegion;
    nic.begin(&mut [0; 6])?;
    let region = regions.create(2 * MOST as u64 * u64::from(BUFFER_BYTES)).map_err(bad)?;
    let mut bytes = regions.exclusive(region).map_err(bad)?;
    for frame in bytes.chunks_exact_mut(BUFFER_BYTES as usize).take(MOST) {
        frame[..HEADER.len()].copy_from_slice(&HEADER);
    }
    drop(bytes);
    regions.lend(region, driver, Access::Shared).map_err(bad)?;
    Ok(Card { memory: nic.attach(region)?, nic })
}

fn measure_all(context: &mut Context<'_>, with: Imports<'_>) -> Result<(), NicError> {
    let Imports { mut near, mut far, mut regions } = with;
    let near = &mut set_up(&mut near, "virtio-net", &mut regions)?;
    let far = &mut set_up(&mut far, "second", &mut regions)?;
    for length in LENGTHS {
        for count in BATCHES {
            let sent = fewest(|| send(near, far, count, length))? / count as u64;
            let received = fewest(|| receive(near, far, count, length))? / count as u64;
            writeln!(context, "{length} bytes, {count} at a time: {received} in, {sent} out")
                .map_err(|_| CallError::BadAnswer)?;
        }
    }
    Ok(())
}

fn measure(context: &mut Context<'_>, with: Imports<'_>) -> i32 {
    measure_all(context, with).map_or_else(|error| -(error.number() as i32), |()| 0)
}
