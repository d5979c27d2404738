//! Figures as text.

use core::fmt;

/// An optional value; a missing one is a dash.
#[derive(Clone, Copy, Debug)]
pub struct OrDash<T>(pub Option<T>);

impl<T: fmt::Display> fmt::Display for OrDash<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(formatter),
            None => formatter.write_str("-"),
        }
    }
}

/// A time in microseconds, shown in the unit in which it is a short number.
#[derive(Clone, Copy, Debug)]
pub struct Microseconds(pub u64);

impl fmt::Display for Microseconds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us @ ..1_000 => write!(formatter, "{us} us"),
            us @ ..10_000_000 => write!(formatter, "{} ms", us / 1_000),
            us => write!(formatter, "{} s", us / 1_000_000),
        }
    }
}

/// A figure with two decimals, or none if they are zero.
///
/// Formatted as an integer, so that a kernel needs no code for floating-point text.
#[derive(Clone, Copy, Debug)]
pub struct Hundredths(pub f64);

impl fmt::Display for Hundredths {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = (self.0 * 100.0 + 0.5) as u128;
        match (hundredths / 100, hundredths % 100) {
            (whole, 0) => write!(formatter, "{whole}"),
            (whole, part) => write!(formatter, "{whole}.{part:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn shows_figures_without_noise() {
        assert_eq!(Hundredths(12.0).to_string(), "12");
        assert_eq!(Hundredths(12.345).to_string(), "12.35");
        assert_eq!(Hundredths(0.05).to_string(), "0.05");
    }
}
