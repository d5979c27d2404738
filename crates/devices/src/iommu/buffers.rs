//! The page with the request to a virtio IOMMU and its reports.

use core::sync::atomic::{AtomicU32, Ordering};

use super::messages::{REPORT_WORDS, WORDS};

/// The number of reports that there is room for.
pub(super) const EVENTS: usize = 32;

/// The status of a request before the device writes it: none that means anything.
const NO_ANSWER: u32 = u32::MAX;

/// A page that an IOMMU reads requests from, and writes answers and reports to. All of it is numbers that may change at any
/// time, and a page of zeros is a valid one.
#[repr(C, align(4096))]
#[derive(Debug)]
pub struct BufferPage {
    request: [AtomicU32; WORDS],
    answer: AtomicU32,
    reports: [[AtomicU32; REPORT_WORDS]; EVENTS],
}

const _: () = assert!(size_of::<BufferPage>() == 4096);

impl BufferPage {
    /// The offset of the answer.
    pub(super) const ANSWER: u64 = core::mem::offset_of!(BufferPage, answer) as u64;

    /// The bytes of a report.
    pub(super) const REPORT_BYTES: u32 = REPORT_WORDS as u32 * 4;

    /// Returns the offset of a report.
    pub(super) const fn report_offset(number: usize) -> u64 {
        core::mem::offset_of!(BufferPage, reports) as u64 + number as u64 * Self::REPORT_BYTES as u64
    }

    /// Writes a request. Returns the place of its answer.
    pub(super) fn write(&self, words: &[u32]) -> &AtomicU32 {
        self.request.iter().zip(words).for_each(|(place, word)| place.store(*word, Ordering::Relaxed));
        self.answer.store(NO_ANSWER, Ordering::Relaxed);
        &self.answer
    }

    /// Reads a report.
    pub(super) fn report(&self, number: usize) -> [u32; REPORT_WORDS] {
        let words = self.reports.get(number);
        core::array::from_fn(|word| words.map_or(0, |words| words[word].load(Ordering::Relaxed)))
    }

    /// Returns a word by its offset, as a device sees it.
    #[cfg(test)]
    pub(super) fn word(&self, offset: u64) -> &AtomicU32 {
        let place = (offset / 4) as usize;
        match place {
            0..WORDS => &self.request[place],
            WORDS => &self.answer,
            _ => self.reports.as_flattened().get(place - WORDS - 1).unwrap(),
        }
    }
}
