//! The twentieth Fibonacci number, 6765, by addition.

#![no_std]
#![forbid(unsafe_code)]

bareflow_abi::module!(fibonacci);

/// The number of steps from 0 and 1.
const STEPS: u32 = 20;

/// Returns the Fibonacci number after `STEPS` steps.
#[must_use]
pub fn fibonacci() -> i32 {
    let (mut current, mut next) = (0, 1);
    for _ in 0..STEPS {
        (current, next) = (next, current + next);
    }
    current
}

#[cfg(test)]
mod tests {
    #[test]
    fn gives_the_twentieth() {
        assert_eq!(super::fibonacci(), 6765);
    }
}
