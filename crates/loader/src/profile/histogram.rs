//! Histogram buckets for cycle counts: 32 per octave, so that every value is known to within 1/32.
//!
//! This is HdrHistogram's scheme with five significant bits.

/// The number of buckets per octave.
const PER_OCTAVE: u32 = 32;

/// The bound below which each value has a bucket of its own.
const EXACT: u64 = PER_OCTAVE as u64;

/// The number of buckets that cover all of `u64`: 32 exact ones and 59 octaves.
pub const BUCKETS: usize = 32 * 60;

/// Returns the index of the bucket of `value`; always below [`BUCKETS`].
#[must_use]
pub const fn bucket(value: u64) -> usize {
    // The octave's number. Values with a bucket of their own count as the first octave, which avoids a branch: readings
    // cross any such border too often to be predicted.
    let octave = (value | (2 * EXACT - 1)).ilog2() - EXACT.ilog2();
    (PER_OCTAVE * octave) as usize + (value >> octave) as usize
}

/// Returns the smallest value in `bucket`.
#[must_use]
pub const fn lower_bound(bucket: usize) -> u64 {
    if bucket < EXACT as usize {
        return bucket as u64;
    }
    let octave = bucket / EXACT as usize - 1;
    let position = bucket % EXACT as usize;
    (EXACT + position as u64) << octave
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn covers_both_ends() {
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket(31), 31);
        assert_eq!(bucket(32), 32);
        assert_eq!(bucket(63), 63);
        assert_eq!(bucket(64), 64);
        assert_eq!(bucket(65), 64);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn every_bucket_starts_where_it_says() {
        for index in 0..BUCKETS {
            assert_eq!(bucket(lower_bound(index)), index);
        }
    }

    proptest! {
        #[test]
        fn a_value_is_within_a_32nd_of_its_bucket(value: u64) {
            let lower = lower_bound(bucket(value));
            prop_assert!(lower <= value);
            prop_assert!(value - lower <= value / 32);
        }
    }
}
