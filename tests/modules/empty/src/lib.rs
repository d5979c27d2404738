//! Does nothing.

#![no_std]
#![forbid(unsafe_code)]

bareflow_abi::module!(empty);

/// Returns 0.
#[must_use]
pub fn empty() -> i32 {
    0
}

#[cfg(test)]
mod tests {
    #[test]
    fn returns_zero() {
        assert_eq!(super::empty(), 0);
    }
}
