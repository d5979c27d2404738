//! The hash FNV-1a, 64 bits (Fowler, Noll, Vo), of which fingerprints are made.

/// The hash of no bytes.
pub(crate) const START: u64 = 0xcbf2_9ce4_8422_2325;

/// Hashes bytes, continuing from `state`.
pub(crate) const fn hash_bytes(bytes: &[u8], mut state: u64) -> u64 {
    let mut index = 0;
    while index < bytes.len() {
        state = (state ^ bytes[index] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        index += 1;
    }
    state
}
