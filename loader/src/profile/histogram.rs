//! Buckets for cycle counts: 32 to an octave, so that every value is known
//! within 1/32 of itself (HdrHistogram's scheme with five significant bits).

/// Buckets to an octave.
const PER_OCTAVE: u32 = 32;

/// Values below this have a bucket each.
const EXACT: u64 = PER_OCTAVE as u64;

/// How many buckets cover all of `u64`: 32 exact ones and 59 octaves.
pub const BUCKETS: usize = 32 * 60;

/// The bucket of `value`; always below [`BUCKETS`].
#[must_use]
pub const fn bucket(value: u64) -> usize {
    // The octave's number; all values that have a bucket each count as the first. Without a
    // branch: readings jump to and fro across any border.
    let octave = (value | (2 * EXACT - 1)).ilog2() - EXACT.ilog2();
    (PER_OCTAVE * octave) as usize + (value >> octave) as usize
}

/// The least value in `bucket`.
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
