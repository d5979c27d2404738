//! What the console showed last, line by line, for those who look later.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use bareflow_loader::Printable;
use bareflow_suite::fallible::{NoMemory, collect};
use bareflow_suite::text;

/// Bytes that are kept.
const SIZE: usize = 64 << 10;

/// The end of all text so far.
pub struct LogRing {
    bytes: [u8; SIZE],
    /// Bytes there have been.
    written: usize,
    /// Lines there have been that ended.
    lines: u64,
}

impl LogRing {
    /// Nothing so far.
    pub const fn new() -> LogRing {
        LogRing { bytes: [0; SIZE], written: 0, lines: 0 }
    }

    /// Takes text.
    pub fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            if let Some(target) = self.bytes.get_mut(self.written % SIZE) {
                *target = byte;
            }
            self.written += 1;
            self.lines += u64::from(byte == b'\n');
        }
    }

    /// The whole lines from that number on, counted from 0, and the number of the first of them.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn lines_from(&self, from: u64) -> Result<(u64, Vec<String>), NoMemory> {
        let start = self.written - self.written.min(SIZE);
        let byte = |index: usize| self.bytes.get(index % SIZE).copied().unwrap_or_default();
        let is_end = |index: &usize| byte(*index) == b'\n';
        // The first line has lost its beginning where older text is gone.
        let start = if start == 0 { 0 } else { (start..self.written).find(is_end).map_or(self.written, |end| end + 1) };
        let ends = (start..self.written).filter(is_end);
        let first = self.lines - ends.clone().count() as u64;
        let skipped = from.saturating_sub(first).min(self.lines - first);
        let mut line_start = start;
        let lines = ends.map(|end| core::mem::replace(&mut line_start, end + 1)..end);
        let text = |line: Range<usize>| -> Result<String, NoMemory> {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(line.len())?;
            bytes.extend(line.map(byte));
            // What modules log is shown by its printable part, so it is text.
            String::from_utf8(bytes).or_else(|error| text!("{}", Printable(error.as_bytes())))
        };
        let lines = collect(lines.skip(skipped as usize).map(text))?;
        Ok((first + skipped, lines))
    }
}
