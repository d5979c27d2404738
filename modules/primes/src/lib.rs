//! The number of primes below 1000, 168, by trial division.

#![no_std]
#![forbid(unsafe_code)]

bareflow_abi::module!(primes);

/// The limit below which numbers are tested.
const LIMIT: u16 = 1000;

/// Returns the number of primes below `LIMIT`.
#[must_use]
pub fn primes() -> i32 {
    // 2 is the only even prime.
    1 + (3..LIMIT).step_by(2).filter(|&number| is_prime(number)).map(|_| 1).sum::<i32>()
}

/// Whether an odd number is prime. Divides by the odd numbers up to its root.
#[expect(clippy::manual_is_multiple_of, reason = "it looks for a divisor of 0 at every step, which costs a half")]
fn is_prime(number: u16) -> bool {
    // The range has no upper bound: the search ends at the root, which is below 32.
    let mut divisors = (3_u16..).step_by(2).take_while(|&divisor| divisor * divisor <= number);
    !divisors.any(|divisor| number % divisor == 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn counts_them() {
        assert_eq!(super::primes(), 168);
    }

    #[test]
    fn tells_squares_from_primes() {
        let found: [u16; 7] = [3, 5, 7, 9, 25, 961, 997];
        assert_eq!(found.map(super::is_prime), [true, true, true, false, false, false, true]);
    }
}
