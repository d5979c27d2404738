//! How many primes there are below 1000: 168, by trial division.

#![no_std]
#![forbid(unsafe_code)]

bareflow_abi::module!(primes);

/// Numbers below this are tried.
const LIMIT: u16 = 1000;

/// How many numbers below `LIMIT` are prime.
#[must_use]
pub fn primes() -> i32 {
    // 2 is the only even one.
    1 + (3..LIMIT).step_by(2).map(|number| i32::from(is_prime(number))).sum::<i32>()
}

/// Divides an odd number by the odd ones up to its root.
fn is_prime(number: u16) -> bool {
    // Without an upper bound: the search ends at the root, which is below 32.
    let divisor = (3..).step_by(2).find(|&divisor: &u16| divisor * divisor > number || number.is_multiple_of(divisor));
    divisor.is_none_or(|divisor| divisor * divisor > number)
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
