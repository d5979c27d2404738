//! The sum of the numbers from 1 to 100: 5050.

#![no_std]
#![forbid(unsafe_code)]

bareflow_abi::module!(sum);

/// Returns the sum of 1 to 100.
#[must_use]
pub fn sum() -> i32 {
    (1..=100).sum()
}

#[cfg(test)]
mod tests {
    #[test]
    fn gives_gausss_result() {
        assert_eq!(super::sum(), 5050);
    }
}
