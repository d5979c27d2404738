//! Combination of checksums: the effect of trailing zeros on a sum.
//!
//! It is a product with a power of x, modulo the polynomial.
//!
//! All bits are reflected: the uppermost is the coefficient of 1.

use super::POLYNOMIAL;

/// Returns the product of two polynomials of degree 31 or less, modulo the polynomial.
pub(super) const fn product(one: u32, other: u32) -> u32 {
    let (mut sum, mut shifted, mut bit) = (0, other, 32);
    while bit > 0 {
        bit -= 1;
        // Branchless: the mask is all ones if the bit is set.
        sum ^= shifted & (one >> bit & 1).wrapping_neg();
        shifted = (shifted >> 1) ^ (POLYNOMIAL & (shifted & 1).wrapping_neg());
    }
    sum
}

/// Returns the factor by which `bytes` further bytes multiply a sum.
pub(super) const fn of_bytes(bytes: usize) -> u32 {
    // x to the power of 8, squared again and again.
    let (mut power, mut factor, mut left) = (1 << 31, 1 << 23, bytes);
    while left > 0 {
        if left & 1 == 1 {
            power = product(power, factor);
        }
        factor = product(factor, factor);
        left >>= 1;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::super::by_table;
    use super::*;

    #[test]
    fn does_what_zeros_do() {
        for bytes in [0, 1, 7, 512, 8192] {
            for state in [1, 0x8000_0000, 0xdead_beef] {
                let zeros = (0..bytes).fold(state, |state, _| by_table(state, &[0]));
                assert_eq!(product(state, of_bytes(bytes)), zeros, "{bytes}");
            }
        }
    }
}
