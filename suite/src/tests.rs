use super::*;

#[test]
fn shows_output_without_control_characters() {
    assert_eq!(printable("plain ü".as_bytes()), "plain ü");
    assert_eq!(printable(b"two\nlines \x1b[31m"), "two\\nlines \\u{1b}[31m");
    assert_eq!(printable(b"\xff!"), "\\xff!");
}
