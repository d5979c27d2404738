//! The frames that are passed on between the card and its user.

use bareflow_abi::Out;
use bareflow_device::{Buffer, Completion, Virtio};
use bareflow_nic::NicError;

use crate::{CARD, Driver, RECEIVE, TRANSMIT};

/// The length of the header before a frame (5.1.6), and the places of those of frames that are received and sent: all of
/// the former may be written to the same place, since nothing is read from it, and the latter are zeros.
const HEADER_BYTES: u32 = 12;
const RECEIVED_HEADER: u32 = 0;
const SENT_HEADER: u32 = 64;

/// The size of the region with the headers.
pub const HEADERS_BYTES: u64 = (SENT_HEADER + HEADER_BYTES) as u64;

/// The most frames that are passed on at once, and the number of few, for which less room is made.
const BATCH: usize = 32;
const FEW: usize = 2;

impl Driver<'_> {
    /// Gives frames to a queue, each behind a header, and collects others. Returns how many the card took.
    pub fn exchange(&mut self, queue: u32, frames: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        let before = into.written().len();
        let taken = if frames.len() <= FEW && !self.state.is_resumed[queue as usize] {
            self.pass::<FEW>(queue, frames, into)
        } else {
            self.pass_all(queue, frames, into)
        };
        let found = into.written_mut().get_mut(before..).unwrap_or_default();
        found.iter_mut().for_each(|done| done.length = done.length.saturating_sub(HEADER_BYTES));
        self.state.frames[queue as usize] += found.len() as u64;
        taken
    }

    /// Passes any number of frames on, behind what is left of before the card was started.
    fn pass_all(&mut self, queue: u32, frames: &[Buffer], into: &mut Out<'_, Completion>) -> Result<u32, NicError> {
        if self.state.is_resumed[queue as usize] {
            self.imports.virtio.leftovers(CARD, queue, into).map_err(|error| self.mend(error))?;
            self.state.is_resumed[queue as usize] = into.remaining() == 0;
        }
        let (first, rest) = frames.split_at(frames.len().min(BATCH));
        let mut taken = self.pass::<BATCH>(queue, first, into)?;
        for (frames, before) in rest.chunks(BATCH).zip((first.len()..).step_by(BATCH)) {
            if taken as usize == before {
                // The card has those before.
                taken += self.pass::<BATCH>(queue, frames, into).unwrap_or_default();
            }
        }
        Ok(taken)
    }

    /// Passes up to `N` frames on.
    fn pass<const N: usize>(
        &mut self,
        queue: u32,
        frames: &[Buffer],
        into: &mut Out<'_, Completion>,
    ) -> Result<u32, NicError> {
        let memory = self.state.headers;
        let (offset, flags) = match queue {
            TRANSMIT => (SENT_HEADER, 0),
            _ => (RECEIVED_HEADER, Buffer::WRITE),
        };
        let header = Buffer { memory, offset, length: HEADER_BYTES, token: 0, flags: flags | Buffer::NEXT };
        let mut chains = [[header; 2]; N];
        for ([header, own], frame) in chains.iter_mut().zip(frames) {
            // The headers are no user's.
            if frame.memory == memory {
                return Err(NicError::BadBuffer);
            }
            header.token = frame.token;
            *own = Buffer { flags, ..*frame };
        }
        let buffers = chains.get(..frames.len()).unwrap_or_default().as_flattened();
        match self.imports.virtio.exchange(CARD, queue, buffers, into, queue == RECEIVE) {
            Ok(taken) => Ok(taken / 2),
            Err(error) => Err(self.mend(error)),
        }
    }
}
