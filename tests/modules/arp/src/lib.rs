//! Asks for the address of QEMU's gateway (ARP, RFC 826), again and again, and checks the answers.

#![no_std]

use bareflow_abi::{CallError, Context, Failure, Out};
use bareflow_nic::{Buffer, Completion, MIN_BUFFER_BYTES, Nic, NicError};
use bareflow_regions::{Access, RegionError, Regions};

bareflow_abi::module!(ask, imports = { nic: Nic, regions: Regions });

/// The driver of the card.
const DRIVER: &str = "virtio-net";

/// The questions, and how often each one's answer is looked for.
const QUESTIONS: u8 = 4;
const LOOKS: u32 = 100_000;

/// The buffers of the region: one to send from, and one to receive into, in a page of its own.
const BUFFER_BYTES: u32 = 4096;
const SENT: u16 = 0;
const RECEIVED: u16 = 1;

/// The addresses of this machine and of the gateway on QEMU's user network.
const OWN: [u8; 4] = [10, 0, 2, 15];
const GATEWAY: [u8; 4] = [10, 0, 2, 2];

/// The type of the frame, and what follows up to the operation: addresses of Ethernet and IPv4.
const KIND: [u8; 8] = [0x08, 0x06, 0, 1, 0x08, 0, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];

/// The lengths of a question and of the shortest frame.
const ARP_BYTES: usize = 42;
const FRAME_BYTES: usize = 60;

/// Returns how many questions were answered rightly, or the negative number of an error.
fn ask(_: &mut Context<'_>, with: Imports<'_>) -> i32 {
    let Imports { mut nic, mut regions } = with;
    let mut own = [0; 6];
    // A driver that was restarted says so once.
    let begun = match nic.begin(&mut own) {
        Err(NicError::Call(CallError::Restarted)) => nic.begin(&mut own),
        begun => begun,
    };
    begun.and_then(|_| ask_all(&mut nic, &mut regions, own)).unwrap_or_else(|error| -(error.number() as i32))
}

fn ask_all(
    nic: &mut impl Nic,
    regions: &mut bareflow_regions::RegionsClient<'_>,
    own: [u8; 6],
) -> Result<i32, NicError> {
    let bad = |_: RegionError| NicError::BadRegion;
    let region = regions.create(2 * u64::from(BUFFER_BYTES)).map_err(bad)?;
    regions.lend(region, DRIVER, Access::Shared).map_err(bad)?;
    let memory = nic.attach(region)?;
    let buffer =
        |token: u16, length| Buffer { memory, offset: u32::from(token) * BUFFER_BYTES, length, token, flags: 0 };
    let mut right = 0;
    for _ in 0..QUESTIONS {
        let view = regions.shared(region).map_err(bad)?;
        let question = view.bytes().buffer(SENT.into(), BUFFER_BYTES as usize).ok_or(NicError::BadBuffer)?;
        question.write(0, &frame(own)).map_err(|_| NicError::BadBuffer)?;
        let (mut none, mut sent) = ([], [Completion::default()]);
        let empty = [buffer(RECEIVED, MIN_BUFFER_BYTES)];
        let frame = [buffer(SENT, FRAME_BYTES as u32)];
        if nic.receive(&empty, &mut Out::new(&mut none))? != 1 || nic.send(&frame, &mut Out::new(&mut sent))? != 1 {
            return Err(NicError::Failed);
        }
        let length = answer(nic)?;
        let mut answer = [0; ARP_BYTES];
        let came = view.bytes().buffer(RECEIVED.into(), BUFFER_BYTES as usize).ok_or(NicError::BadBuffer)?;
        came.read(0, &mut answer).map_err(|_| NicError::BadBuffer)?;
        right += i32::from(length >= ARP_BYTES && is_right(&answer, own));
    }
    Ok(right)
}

/// Waits for a frame. Returns its length; 0 if none came.
fn answer(nic: &mut impl Nic) -> Result<usize, NicError> {
    for _ in 0..LOOKS {
        let mut came = [Completion::default()];
        let mut out = Out::new(&mut came);
        nic.receive(&[], &mut out)?;
        if let [done] = out.written() {
            return Ok(done.length as usize);
        }
    }
    Ok(0)
}

/// Returns the question, to all.
fn frame(own: [u8; 6]) -> [u8; FRAME_BYTES] {
    let mut frame = [0; FRAME_BYTES];
    let parts: [&[u8]; 8] = [&[0xff; 6], &own, &KIND, &REQUEST, &own, &OWN, &[0; 6], &GATEWAY];
    let bytes = parts.iter().copied().flatten();
    frame.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    frame
}

/// Returns whether a frame is the gateway's answer to this card.
fn is_right(frame: &[u8; ARP_BYTES], own: [u8; 6]) -> bool {
    let parts: [(usize, &[u8]); 5] = [(0, &own), (12, &KIND), (20, &REPLY), (28, &GATEWAY), (32, &own)];
    parts.iter().all(|(at, wanted)| frame.get(*at..at + wanted.len()) == Some(*wanted))
}
