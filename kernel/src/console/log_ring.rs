//! The last text of the console, line by line, for later reading.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use bareflow_loader::Printable;
use bareflow_suite::fallible::{NoMemory, collect};
use bareflow_suite::text;

/// The bytes that are kept.
const SIZE: usize = 64 << 10;

/// A ring buffer with the end of all text so far.
pub struct LogRing {
    bytes: [u8; SIZE],
    /// The bytes written so far.
    written: usize,
    /// The complete lines written so far.
    lines: u64,
}

impl LogRing {
    /// Creates an empty ring.
    pub const fn new() -> LogRing {
        LogRing { bytes: [0; SIZE], written: 0, lines: 0 }
    }

    /// Appends text.
    pub fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            if let Some(target) = self.bytes.get_mut(self.written % SIZE) {
                *target = byte;
            }
            self.written += 1;
            self.lines += u64::from(byte == b'\n');
        }
    }

    /// Returns the complete lines from number `from` on, counted from 0, and the number of the first of them.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn lines_from(&self, from: u64) -> Result<(u64, Vec<String>), NoMemory> {
        let start = self.written - self.written.min(SIZE);
        let byte = |index: usize| self.bytes.get(index % SIZE).copied().unwrap_or_default();
        let is_end = |index: &usize| byte(*index) == b'\n';
        // The first line is incomplete if older text is overwritten.
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
            // Modules' lines are shown by their printable part, so this is text.
            String::from_utf8(bytes).or_else(|error| text!("{}", Printable(error.as_bytes())))
        };
        let lines = collect(lines.skip(skipped as usize).map(text))?;
        Ok((first + skipped, lines))
    }
}
