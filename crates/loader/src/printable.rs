//! Untrusted bytes as text on one line.

use core::fmt::{self, Write};

/// Bytes from outside, shown as text that is safe for a terminal: control characters and invalid UTF-8 are escaped.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'bytes>(pub &'bytes [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                if character.is_control() {
                    write!(out, "{}", character.escape_default())?;
                } else {
                    out.write_char(character)?;
                }
            }
            write!(out, "{}", chunk.invalid().escape_ascii())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Printable;
    use std::string::ToString;

    #[test]
    fn escapes_what_a_terminal_would_obey() {
        assert_eq!(Printable("it's plain ü".as_bytes()).to_string(), "it's plain ü");
        assert_eq!(Printable(b"two\nlines \x1b[31m").to_string(), "two\\nlines \\u{1b}[31m");
        assert_eq!(Printable(b"\xff!").to_string(), "\\xff!");
    }
}
