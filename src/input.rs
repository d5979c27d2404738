//! The input of modules: `--input`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Result, anyhow, ensure};

use crate::complain;

/// The longest input that is read, in bytes: more than any module gets.
const LIMIT: usize = 64 << 20;

/// Returns the bytes that `--input` denotes.
///
/// `-` is standard input, `@FILE` a file, `hex:0A FF` these bytes, and `text:..` this text. Anything else is a file if
/// there is one of that name, and otherwise the text itself. Without `--input`, there are no bytes.
///
/// # Errors
/// When the file or standard input can't be read, or the digits are not hexadecimal.
pub fn read_input(input: Option<&OsStr>) -> Result<Vec<u8>> {
    let Some(input) = input else { return Ok(Vec::new()) };
    let bytes = input.as_bytes();
    if bytes == b"-" {
        return limited("standard input", io::stdin().lock());
    }
    if let Some(name) = bytes.strip_prefix(b"@") {
        return of_file(Path::new(OsStr::from_bytes(name)), "; a text that begins so is written text:@..");
    }
    if let Some(digits) = bytes.strip_prefix(b"hex:") {
        return hexadecimal(digits);
    }
    if let Some(text) = bytes.strip_prefix(b"text:") {
        return Ok(text.to_vec());
    }
    let path = Path::new(input);
    // A pipe counts as a file; a folder has no bytes, so its name is taken as text.
    if fs::metadata(path).is_ok_and(|found| !found.is_dir()) {
        return of_file(path, "");
    }
    if looks_like_a_path(bytes) {
        let shown = path.display();
        complain!(
            "warning: there is no file {shown}, so the input is this very text; \
             write text:{shown} if that is meant, or @FILE where it must be a file"
        );
    }
    Ok(bytes.to_vec())
}

fn of_file(path: &Path, more: &str) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|error| anyhow!("can't read the input {}: {error}{more}", path.display()))?;
    limited(&path.display().to_string(), file)
}

fn limited(name: &str, stream: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = LIMIT as u64 + 1;
    stream.take(most).read_to_end(&mut bytes).map_err(|error| anyhow!("can't read the input {name}: {error}"))?;
    ensure!(bytes.len() <= LIMIT, "the input {name} has more than {LIMIT} bytes, expected fewer; give it less");
    Ok(bytes)
}

/// Reads at most `limit` bytes of a file, and one more if it is longer.
///
/// # Errors
/// When it can't be read.
pub fn read_at_most(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn hexadecimal(text: &[u8]) -> Result<Vec<u8>> {
    let digits: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let value = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(value(high)? << 4 | value(low)?)).collect::<Option<Vec<u8>>>();
    bytes.filter(|_| rest.is_empty()).ok_or_else(|| {
        let found = String::from_utf8_lossy(text);
        anyhow!("--input: hex:{found} is no hexadecimal, expected two digits for each byte, such as hex:00 ff")
    })
}

/// Whether a text contains a slash and ends in a file extension, such as `./data.bin`.
fn looks_like_a_path(text: &[u8]) -> bool {
    let Some(slash) = text.iter().rposition(|&byte| byte == b'/') else { return false };
    let name = text.get(slash + 1..).unwrap_or_default();
    let ending = name.rsplit(|&byte| byte == b'.').next().unwrap_or_default();
    let is_ending = (1..=8).contains(&ending.len()) && ending.iter().all(u8::is_ascii_alphanumeric);
    ending.len() < name.len() && is_ending && !text.iter().any(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Result<Vec<u8>, String> {
        read_input(Some(OsStr::from_bytes(input))).map_err(|problem| problem.to_string())
    }

    #[test]
    fn marks_say_what_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.bin");
        fs::write(&path, b"bytes").unwrap();
        let name = path.to_str().unwrap();
        assert_eq!(read(name.as_bytes()).unwrap(), b"bytes");
        assert_eq!(read(format!("@{name}").as_bytes()).unwrap(), b"bytes");
        assert_eq!(read(format!("text:{name}").as_bytes()).unwrap(), name.as_bytes());
        assert_eq!(read(b"hex:00 fF10").unwrap(), [0, 0xff, 0x10]);
        assert_eq!(read(b"hex:").unwrap(), b"");
        assert_eq!(read(b"plain").unwrap(), b"plain");
        assert_eq!(read(b"\xff\x00").unwrap(), b"\xff\x00");
        assert_eq!(read_input(None).unwrap(), b"");
        assert!(read(b"@/no/such/file").unwrap_err().contains("text:@"));
        for wrong in [&b"hex:0"[..], b"hex:0g", b"hex:0x00"] {
            assert!(read(wrong).unwrap_err().contains("expected two digits for each byte"));
        }
        assert!(read(b"/dev/zero").unwrap_err().contains("has more than 67108864 bytes"));
    }

    #[test]
    fn a_misspelt_path_looks_like_one() {
        for path in ["./data.bin", "a/b.json", "/x/y.7z"] {
            assert!(looks_like_a_path(path.as_bytes()), "{path}");
        }
        for text in ["hello", "1/2", "a/b c.txt", "and/or.", "/modules", "data.bin", "{\"a\": 1.5}"] {
            assert!(!looks_like_a_path(text.as_bytes()), "{text}");
        }
    }
}
