//! Checksums by the instruction `crc32` (SSE 4.2), which uses no vector registers, and so is usable in kernels as well.
//!
//! It has a latency of three cycles, but three can run at once. Long parts are therefore processed as three streams,
//! whose sums are combined at the end (V. Gopal and others, "Fast CRC Computation for iSCSI Polynomial Using CRC32
//! Instruction", Intel 2011).

use core::arch::asm;
use core::arch::x86_64::__cpuid;

use super::combine::{of_bytes, product};

/// The proof that the processor has the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction(());

/// Leaf 1, ecx: SSE 4.2 (Intel SDM volume 2, CPUID).
const HAS_SSE42: u32 = 1 << 20;

/// The length of each of three streams, in bytes: for long parts, and for shorter ones.
const STREAMS: [usize; 2] = [8192, 512];

/// The factors by which a stream of each length shifts a sum.
const SHIFTS: [u32; 2] = [of_bytes(STREAMS[0]), of_bytes(STREAMS[1])];

impl Instruction {
    /// Detects whether the processor has the instruction.
    pub fn detect() -> Option<Instruction> {
        (__cpuid(1).ecx & HAS_SSE42 != 0).then_some(Instruction(()))
    }

    /// Returns the state of the sum after `bytes`.
    #[inline]
    pub fn take(self, state: u32, bytes: &[u8]) -> u32 {
        if bytes.len() < 3 * STREAMS[1] { self.one_stream(state, bytes) } else { self.take_long(state, bytes) }
    }

    #[inline(never)]
    fn take_long(self, state: u32, bytes: &[u8]) -> u32 {
        let (mut state, mut rest) = (state, bytes);
        for (size, shift) in STREAMS.into_iter().zip(SHIFTS) {
            while let Some((block, behind)) = rest.split_at_checked(3 * size) {
                state = self.three_streams(state, block, size, shift);
                rest = behind;
            }
        }
        self.one_stream(state, rest)
    }

    #[inline]
    fn one_stream(self, state: u32, bytes: &[u8]) -> u32 {
        let (words, rest) = bytes.as_chunks();
        let mut state = words.iter().fold(u64::from(state), |state, word| self.take_word(state, *word)) as u32;
        let (halves, rest) = rest.as_chunks();
        if let [half] = halves {
            state = self.take_half(state, *half);
        }
        rest.iter().fold(state, |state, byte| self.take_byte(state, *byte))
    }

    fn three_streams(self, state: u32, block: &[u8], size: usize, shift: u32) -> u32 {
        let (first, others) = block.split_at(size);
        let (second, third) = others.split_at(size);
        let [first, second, third] = [first, second, third].map(|stream| stream.as_chunks().0.iter());
        let mut states = [u64::from(state), 0, 0];
        for ((first, second), third) in first.zip(second).zip(third) {
            let [a, b, c] = states;
            states = [self.take_word(a, *first), self.take_word(b, *second), self.take_word(c, *third)];
        }
        let [a, b, c] = states.map(|state| state as u32);
        product(product(a, shift) ^ b, shift) ^ c
    }

    #[inline(always)]
    fn take_word(self, mut state: u64, word: [u8; 8]) -> u64 {
        // SAFETY: only `detect` creates an `Instruction`, so the processor has it. It accesses registers only.
        unsafe {
            asm!("crc32 {}, {}", inout(reg) state, in(reg) u64::from_le_bytes(word),
                options(pure, nomem, nostack, preserves_flags));
        }
        state
    }

    #[inline(always)]
    fn take_half(self, mut state: u32, half: [u8; 4]) -> u32 {
        // SAFETY: as above.
        unsafe {
            asm!("crc32 {:e}, {:e}", inout(reg) state, in(reg) u32::from_le_bytes(half),
                options(pure, nomem, nostack, preserves_flags));
        }
        state
    }

    #[inline(always)]
    fn take_byte(self, mut state: u32, byte: u8) -> u32 {
        // SAFETY: as above.
        unsafe {
            asm!("crc32 {:e}, {}", inout(reg) state, in(reg_byte) byte,
                options(pure, nomem, nostack, preserves_flags));
        }
        state
    }
}
