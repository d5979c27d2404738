//! The queues of a virtio IOMMU: it is waited for after each request, with a limit, and its reports of faults are taken when
//! asked. An answer that breaks the rules of a queue, or never comes, ends its use.

use core::sync::atomic::Ordering;

use super::buffers::{BufferPage, EVENTS};
use super::error::IommuError;
use super::messages::{Fault, Request, status};
use crate::registers::Registers;
use crate::virtio::{Piece, Queue, QueuePage, SharedPage, VirtioDevice};

/// The queues, and the size of that for requests: there is one at a time, of two pieces.
const REQUESTS: u16 = 0;
const REPORTS: u16 = 1;
const REQUESTS_SIZE: u32 = 2;

/// The pages that are shared with the IOMMU, of zeros.
#[derive(Debug)]
pub struct Pages {
    /// The page of each queue.
    pub queues: [SharedPage<QueuePage>; 2],
    /// The page with requests and reports.
    pub buffers: SharedPage<BufferPage>,
}

/// The queues.
#[derive(Debug)]
pub(super) struct Queues<R> {
    pub device: VirtioDevice<R>,
    requests: Queue,
    reports: Queue,
    /// The places of the notifications of both.
    notify: [u64; 2],
    buffers: &'static BufferPage,
    address: u64,
    is_lost: bool,
}

impl<R: Registers> Queues<R> {
    /// Sets up the queues of an IOMMU with which the features are agreed on, and starts it.
    pub(super) fn start(mut device: VirtioDevice<R>, pages: Pages) -> Result<Queues<R>, IommuError> {
        let [requests, reports] = pages.queues;
        let mut set_up = |number, size, page: &SharedPage<QueuePage>| {
            let size = device.queue_size(number, size)?;
            let queue = Queue::new(page, size).ok_or(IommuError::NoMemory)?;
            queue.set_interrupt(false);
            let notify = device.set_queue(number, size, page)?;
            Ok::<_, IommuError>((queue, notify))
        };
        let (requests, first_notify) = set_up(REQUESTS, REQUESTS_SIZE, &requests)?;
        let (reports, second_notify) = set_up(REPORTS, EVENTS as u32, &reports)?;
        if requests.room() < REQUESTS_SIZE as usize {
            return Err(IommuError::Unable("its queue of requests is too small"));
        }
        device.start()?;
        let notify = [first_notify, second_notify];
        let (buffers, address) = (pages.buffers.page(), pages.buffers.address());
        let mut queues = Queues { device, requests, reports, notify, buffers, address, is_lost: false };
        let room = queues.reports.room().min(EVENTS);
        (0..room as u16).for_each(|number| queues.give(number));
        queues.tell(REPORTS);
        Ok(queues)
    }

    /// Asks nothing of it any more.
    pub(super) fn give_up(&mut self) {
        self.is_lost = true;
    }

    /// Returns whether nothing is asked of it any more.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Does a request, and waits for its answer.
    pub(super) fn ask(&mut self, request: Request) -> Result<(), IommuError> {
        if self.is_lost {
            return Err(IommuError::Lost);
        }
        let (words, count) = request.words();
        let answer = self.buffers.write(words.get(..count).unwrap_or_default());
        let (address, length) = (self.address, count as u32 * 4);
        let pieces = [
            Piece { address, length, memory: 0, is_written: false },
            Piece { address: address + BufferPage::ANSWER, length: 4, memory: 0, is_written: true },
        ];
        // Until it is known that it answers.
        self.is_lost = true;
        if !self.requests.add(&pieces, 0) {
            return Err(IommuError::Lost);
        }
        self.tell(REQUESTS);
        let took = self.device.patience().wait(|| self.requests.take(|_| ()).transpose());
        took.ok_or(IommuError::Lost)??;
        self.is_lost = false;
        Ok(status(answer.load(Ordering::Relaxed))?)
    }

    /// Gives the IOMMU room for a report. It has room for each, as no other has the number.
    fn give(&mut self, number: u16) {
        let address = self.address + BufferPage::report_offset(number.into());
        let length = BufferPage::REPORT_BYTES;
        _ = self.reports.add(&[Piece { address, length, memory: 0, is_written: true }], number);
    }

    /// Shows the IOMMU what was added to a queue.
    fn tell(&self, number: u16) {
        let queue = if number == REQUESTS { &self.requests } else { &self.reports };
        if queue.publish() {
            self.device.notify(self.notify.get(usize::from(number)).copied().unwrap_or(u64::MAX), number);
        }
    }

    /// Passes the faults that were reported to `put`: as many as there is room for at once, at the most. Returns how many
    /// reports were taken.
    ///
    /// # Errors
    /// The IOMMU broke the rules, now or before.
    pub(super) fn take_faults(&mut self, mut put: impl FnMut(Fault)) -> Result<usize, IommuError> {
        if self.is_lost {
            return Err(IommuError::Lost);
        }
        let mut taken = 0;
        while taken < EVENTS {
            let done = self.reports.take(|_| ()).inspect_err(|_| self.is_lost = true)?;
            let Some(done) = done else { break };
            if let Some(fault) = Fault::parse(self.buffers.report(done.token.into()), done.length) {
                put(fault);
            }
            self.give(done.token);
            taken += 1;
        }
        if taken > 0 {
            self.tell(REPORTS);
        }
        Ok(taken)
    }
}
