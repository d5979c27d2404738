//! CRC-32C (Castagnoli, RFC 3720 appendix B.4): by table anywhere, by the processor's instruction where available.
//!
//! There are crates for it, but none serves all three users: modules and macros, which compute it in `const` code
//! without `unsafe`; a kernel, which has no `std` and leaves vector registers alone; and a load, which reads every byte
//! of its blob for it. `crc` 3 computes by tables alone, `crc32c` 0.6 and `crc-fast` 1.6 need `std`, and the latter
//! computes in vector registers.

#[cfg(any(test, all(target_arch = "x86_64", not(bareflow_module))))]
mod combine;
#[cfg(all(target_arch = "x86_64", not(bareflow_module)))]
mod instruction;

/// The reflected polynomial.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The contribution of each byte value.
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let carry = remainder & 1;
            remainder = (remainder >> 1) ^ (POLYNOMIAL * carry);
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
};

/// An implementation of the checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc32c(Backend);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    Table,
    #[cfg(all(target_arch = "x86_64", not(bareflow_module)))]
    Instruction(instruction::Instruction),
}

impl Crc32c {
    /// The table-driven implementation, which runs anywhere.
    pub const SOFTWARE: Crc32c = Crc32c(Backend::Table);

    /// Returns the fastest implementation for this processor. The detection may take thousands of cycles.
    #[must_use]
    pub fn detect() -> Crc32c {
        #[cfg(all(target_arch = "x86_64", not(bareflow_module)))]
        if let Some(instruction) = instruction::Instruction::detect() {
            return Crc32c(Backend::Instruction(instruction));
        }
        Crc32c::SOFTWARE
    }

    /// Computes the CRC-32C of the concatenation of `parts`.
    #[must_use]
    #[inline]
    pub fn of(self, parts: &[&[u8]]) -> u32 {
        let state = match self.0 {
            Backend::Table => parts.iter().fold(u32::MAX, |state, part| by_table(state, part)),
            #[cfg(all(target_arch = "x86_64", not(bareflow_module)))]
            Backend::Instruction(instruction) => {
                parts.iter().fold(u32::MAX, |state, part| instruction.take(state, part))
            }
        };
        !state
    }
}

/// Computes the CRC-32C of the concatenation of `parts`, by table.
#[must_use]
pub fn crc32c(parts: &[&[u8]]) -> u32 {
    Crc32c::SOFTWARE.of(parts)
}

fn by_table(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(state, |state, byte| TABLE[usize::from(state.to_le_bytes()[0] ^ byte)] ^ (state >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_check_value() {
        for backend in [Crc32c::SOFTWARE, Crc32c::detect()] {
            assert_eq!(backend.of(&[b"123456789"]), 0xe306_9283);
            assert_eq!(backend.of(&[b"1234", b"", b"56789"]), 0xe306_9283);
            assert_eq!(backend.of(&[&[0; 32]]), 0x8a91_36aa);
        }
    }

    #[test]
    fn both_ways_agree_at_every_length_and_offset() {
        extern crate std;
        let bytes: std::vec::Vec<u8> = (0..60_000_u32).map(|number| ((number * number) >> 7) as u8).collect();
        for length in (0..200).chain((1_500..1_600).step_by(7)).chain([24_575, 24_576, 24_577, 26_112, 51_000]) {
            for offset in [0, 1, 7] {
                let part = &bytes[offset..offset + length];
                assert_eq!(Crc32c::detect().of(&[b"ab", part]), crc32c(&[b"ab", part]), "{length} from {offset}");
            }
        }
    }
}
