//! The time of a file's last change, which shows which of two files is newer.
//!
//! The kernel has no clock. A saved file gets the first time after those of the files that it replaces. A file that is
//! copied to the disk on a machine with a clock gets the current time, which is later. The newest file of a module is
//! therefore the one that was written last, whatever its version.

use core::fmt;

/// A time as stored in a folder: 7 bits for years since 1980, 4 for months, 5 for days, 5 for hours, 6 for minutes, 5
/// for units of two seconds. A later time is a larger number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(pub(crate) u32);

/// The bits, the smallest and the largest value of each part, from seconds to years. Every month has a 28th day.
const PARTS: [(u32, u32, u32); 6] = [(5, 0, 29), (6, 0, 59), (5, 0, 23), (5, 1, 28), (4, 1, 12), (7, 0, 127)];

impl Stamp {
    /// The earliest time: 1 January 1980.
    pub const FIRST: Stamp = Stamp(0x0021_0000);

    /// Returns the next valid time, or `None` at the end of 2107.
    #[must_use]
    pub fn next(self) -> Option<Stamp> {
        let (mut next, mut shift, mut carry) = (0, 0, 1);
        for (bits, least, most) in PARTS {
            let part = (self.0 >> shift & ((1 << bits) - 1)) + carry;
            carry = u32::from(part > most);
            if carry == 1 {
                // This part and all smaller ones start again.
                next = FIRST_PARTS & ((1 << (shift + bits).min(31)) - 1);
            } else {
                next |= part.max(least) << shift;
            }
            shift += bits;
        }
        (carry == 0).then_some(Stamp(next))
    }
}

/// [`Stamp::FIRST`] as bits.
const FIRST_PARTS: u32 = Stamp::FIRST.0;

impl fmt::Display for Stamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let [seconds, minutes, hours, day, month, year] = PARTS.map(|(bits, ..)| {
            let part = rest & ((1 << bits) - 1);
            rest >>= bits;
            part
        });
        write!(out, "{}-{month:02}-{day:02} {hours:02}:{minutes:02}:{:02}", 1980 + year, seconds * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::Stamp;
    use proptest::prelude::*;
    use std::string::ToString;

    #[test]
    fn counts_through_the_calendar() {
        let next = |bits| Stamp(bits).next().map(|stamp| stamp.to_string());
        assert_eq!(Stamp::FIRST.to_string(), "1980-01-01 00:00:00");
        assert_eq!(next(Stamp::FIRST.0).as_deref(), Some("1980-01-01 00:00:02"));
        assert_eq!(next(0).as_deref(), Some("1980-01-01 00:00:02"));
        assert_eq!(next(0x0021_bf7d).as_deref(), Some("1980-01-02 00:00:00"));
        assert_eq!(next(0xff9c_bf7d), None);
        assert_eq!(next(u32::MAX), None);
    }

    proptest! {
        #[test]
        fn the_next_is_later_and_a_date(bits: u32) {
            if let Some(next) = Stamp(bits).next() {
                prop_assert!(next > Stamp(bits));
                let (day, month) = (next.0 >> 16 & 31, next.0 >> 21 & 15);
                prop_assert!((1..=28).contains(&day) && (1..=12).contains(&month));
                prop_assert!(next.0 & 31 < 30 && next.0 >> 5 & 63 < 60 && next.0 >> 11 & 31 < 24);
            }
        }
    }
}
