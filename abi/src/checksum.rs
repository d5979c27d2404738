//! CRC-32C (Castagnoli, RFC 3720 appendix B.4), by table.

/// What each byte contributes, for the reflected polynomial 0x82f63b78.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let carry = remainder & 1;
            remainder = (remainder >> 1) ^ (0x82f6_3b78 * carry);
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
};

/// The CRC-32C of all `parts`, one after the other.
#[must_use]
pub fn crc32c(parts: &[&[u8]]) -> u32 {
    let mut state = u32::MAX;
    for &byte in parts.iter().copied().flatten() {
        state = TABLE[usize::from(state.to_le_bytes()[0] ^ byte)] ^ (state >> 8);
    }
    !state
}

#[cfg(test)]
mod tests {
    use super::crc32c;

    #[test]
    fn gives_the_published_check_value() {
        assert_eq!(crc32c(&[b"123456789"]), 0xe306_9283);
        assert_eq!(crc32c(&[b"1234", b"", b"56789"]), 0xe306_9283);
        assert_eq!(crc32c(&[&[0; 32]]), 0x8a91_36aa);
    }
}
