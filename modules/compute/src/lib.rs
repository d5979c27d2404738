//! The sum of `(i * j) % 1000` over a square of 100 by 100: 4488500.

#![no_std]
#![forbid(unsafe_code)]

bareflow_abi::module!(compute);

/// The number of rows and of columns of the square.
const SIDE: u16 = 100;

/// The modulus of the products.
const MODULUS: u16 = 1000;

/// The number of parts of a row, which interleave its columns.
///
/// The sum of a part's 25 remainders, each at most 999, fits 16 bits, so that eight lanes fill a vector.
const PARTS: u16 = 4;

/// Returns the sum over the square.
#[must_use]
pub fn compute() -> i32 {
    (0..SIDE * PARTS).map(|index| part_of_row(index / PARTS, index % PARTS)).sum()
}

/// Returns the sum over one part of a row.
fn part_of_row(row: u16, first: u16) -> i32 {
    let columns = (0..SIDE / PARTS).map(|step| first + PARTS * step);
    i32::from(columns.map(|column| row * column % MODULUS).sum::<u16>())
}

// The largest product and the largest sum of a part must fit 16 bits.
const _: () = assert!((SIDE - 1) as u32 * (SIDE - 1) as u32 <= u16::MAX as u32);
const _: () = assert!((SIDE / PARTS) as u32 * (MODULUS - 1) as u32 <= u16::MAX as u32);

#[cfg(test)]
mod tests {
    #[test]
    fn agrees_with_the_plain_sum() {
        let plain: i32 = (0..100).map(|i| (0..100).map(|j| i * j % 1000).sum::<i32>()).sum();
        assert_eq!(super::compute(), plain);
        assert_eq!(plain, 4_488_500);
    }
}
