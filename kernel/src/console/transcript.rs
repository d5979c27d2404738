//! What the console showed last, line by line, for those who look later.

use alloc::string::String;
use alloc::vec::Vec;

/// Bytes that are kept.
const SIZE: usize = 64 << 10;

/// The end of all text so far.
pub struct Transcript {
    bytes: [u8; SIZE],
    /// Bytes there have been.
    written: usize,
    /// Lines there have been that ended.
    lines: u64,
}

impl Transcript {
    /// Nothing so far.
    pub const fn new() -> Transcript {
        Transcript { bytes: [0; SIZE], written: 0, lines: 0 }
    }

    /// Takes text.
    pub fn push(&mut self, text: &str) {
        for byte in text.bytes() {
            if let Some(place) = self.bytes.get_mut(self.written % SIZE) {
                *place = byte;
            }
            self.written += 1;
            self.lines += u64::from(byte == b'\n');
        }
    }

    /// The whole lines from that number on, counted from 0, and the number of the first of them.
    pub fn lines_from(&self, from: u64) -> (u64, Vec<String>) {
        let kept = self.written.min(SIZE);
        let mut text = Vec::with_capacity(kept);
        text.extend((self.written - kept..self.written).filter_map(|index| self.bytes.get(index % SIZE)));
        let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
        // Behind the last line end is a line that has not ended, or nothing.
        lines.pop();
        if self.written > kept && !lines.is_empty() {
            // The first one has lost its beginning.
            lines.remove(0);
        }
        let first = self.lines - lines.len() as u64;
        let skipped = from.saturating_sub(first).min(lines.len() as u64);
        let wanted = lines.iter().skip(skipped as usize);
        (first + skipped, wanted.map(|line| String::from_utf8_lossy(line).into_owned()).collect())
    }
}
