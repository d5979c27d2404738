//! The lines of signatures as Rust. They come in blobs, and so from anyone.

use anyhow::{Result, bail, ensure};
use syn::parse::Parse;

/// The longest line that is understood, in bytes.
const MAX_LINE: usize = 4096;

/// The deepest nesting that is understood, of a line or of types in each other. Parsers use the stack for each level.
pub(super) const MAX_DEPTH: usize = 64;

/// Parses a line.
///
/// # Errors
/// The line is too long, nests too deeply, or is no `T`.
pub(super) fn parse<T: Parse>(line: &str) -> Result<T> {
    ensure!(line.len() <= MAX_LINE, "{} bytes, expected at most {MAX_LINE}", line.len());
    check_depth(line)?;
    Ok(syn::parse_str(line)?)
}

/// Checks how deeply a line nests: by the brackets that are open, and by the words and signs that no comma has ended, since
/// each may be one more level, as in `&&&u8` or `fn() -> fn() -> u8`. Signs that no signature has could nest otherwise.
fn check_depth(line: &str) -> Result<()> {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    // The open brackets, and what is not ended in each.
    let mut open = vec![(' ', 0)];
    let mut before = ' ';
    for letter in line.chars() {
        match (letter, open.last_mut()) {
            ('(' | '[' | '{' | '<', _) => open.push((letter, 0)),
            (')' | ']' | '}', _) => while open.pop().is_some_and(|(bracket, _)| bracket == '<') {},
            ('>', Some(('<', _))) if !['-', '='].contains(&before) => drop(open.pop()),
            (',' | ';', Some((_, count))) => *count = 0,
            (letter, Some((_, count))) if is_word(letter) || "&':=->".contains(letter) => {
                *count += usize::from(!is_word(letter) || !is_word(before));
            }
            (' ', _) => {}
            _ => bail!("`{}` where no signature has it", letter.escape_debug()),
        }
        before = letter;
        let depth = open.len() + open.iter().map(|(_, count)| count).sum::<usize>();
        ensure!(depth <= MAX_DEPTH, "nested more than {MAX_DEPTH} levels deep");
    }
    Ok(())
}
