//! The sum of `(i * j) % 1000` over a square of 100 by 100: 4488500.

#![no_std]
#![forbid(unsafe_code)]

bareflow_abi::module!(compute);

/// Rows, and columns, of the square.
const SIDE: u16 = 100;

/// What the products are reduced by.
const MODULUS: u16 = 1000;

/// Columns summed at a time: their remainders, 999 at the most, fit 16 bits
/// together, so that eight of them fill a vector register.
const STRIDE: u16 = SIDE / 4;

/// The sum over the square.
#[must_use]
pub fn compute() -> i32 {
    let mut sum = 0;
    for row in 0..SIDE {
        for start in (0..SIDE).step_by(STRIDE as usize) {
            let quarter: u16 = (start..start + STRIDE).map(|column| row * column % MODULUS).sum();
            sum += i32::from(quarter);
        }
    }
    sum
}

// The largest product and the largest sum of a quarter row fit 16 bits.
const _: () = assert!((SIDE - 1) as u32 * (SIDE - 1) as u32 <= u16::MAX as u32);
const _: () = assert!(STRIDE as u32 * (MODULUS - 1) as u32 <= u16::MAX as u32);

#[cfg(test)]
mod tests {
    #[test]
    fn agrees_with_the_plain_sum() {
        let plain: i32 = (0..100).map(|i| (0..100).map(|j| i * j % 1000).sum::<i32>()).sum();
        assert_eq!(super::compute(), plain);
        assert_eq!(plain, 4_488_500);
    }
}
