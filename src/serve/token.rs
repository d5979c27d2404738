//! The token of a kernel that takes clients by TCP: 128 bits in a file that only its user can read.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use bareflow_protocol::options::Token;
use rustix::rand::{GetRandomFlags, getrandom};

use super::address;

/// Returns the file beside a socket.
#[must_use]
pub fn beside(socket: &Path) -> PathBuf {
    socket.with_extension("token")
}

/// Makes a token, and writes it to a file that others can't read, as 32 hexadecimal digits.
///
/// # Errors
/// When there are no random numbers, or the file can't be written.
pub fn create(path: &Path) -> Result<Token> {
    let mut token = [0; 16];
    let filled = getrandom(&mut token, GetRandomFlags::empty()).context("no random numbers for a token")?;
    ensure!(filled == token.len(), "{filled} bytes of random numbers for a token, expected {}", token.len());
    // One that is there may be readable by others.
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            bail!("can't replace {}: {error}", path.display())
        }
        _ => {}
    }
    let digits: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| writeln!(file, "{digits}")).with_context(|| format!("can't write {}", path.display()))?;
    Ok(Token(token))
}

/// The file with the token of a kernel that is served. It is removed when this is dropped.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    token: Token,
}

impl TokenFile {
    /// Makes a token, in a file beside a socket that is listened on.
    ///
    /// # Errors
    /// As with [`create`].
    pub fn create(socket: &Path) -> Result<TokenFile> {
        let path = beside(socket);
        let token = create(&path)?;
        Ok(TokenFile { path, token })
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the token.
    #[must_use]
    pub const fn token(&self) -> Token {
        self.token
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        // Another kernel's may be there by now.
        if find(Some(&self.path)).is_ok_and(|there| there.is(&self.token)) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Reads the token in a file; by default in the one beside the socket of `serve`.
///
/// # Errors
/// When there is none.
pub fn find(path: Option<&Path>) -> Result<Token> {
    let paths = match path {
        Some(path) => vec![path.to_owned()],
        None => address::candidates(None).iter().map(|socket| beside(socket)).collect(),
    };
    let mut tried = Vec::new();
    for path in paths {
        match fs::read_to_string(&path) {
            Ok(text) => return read(text.trim()).with_context(|| format!("{} is no token", path.display())),
            Err(error) => tried.push(format!("no token at {}: {error}", path.display())),
        }
    }
    bail!("{}; name by `--token` the file that `serve --control` wrote", tried.join(", "))
}

/// Reads a token's digits.
fn read(digits: &str) -> Result<Token> {
    let mut token = [0; 16];
    let is_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    ensure!(is_hexadecimal && digits.len() == 32, "{} characters, expected 32 hexadecimal digits", digits.len());
    for (byte, pair) in token.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair)?, 16)?;
    }
    Ok(Token(token))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_for_its_user_alone_and_another_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = beside(&folder.path().join("bareflow.sock"));
        fs::write(&path, "old").unwrap();
        let tokens = [create(&path).unwrap(), create(&path).unwrap()];
        assert!(!tokens[0].is(&tokens[1]));
        assert!(find(Some(&path)).unwrap().is(&tokens[1]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn rejects_what_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t");
        for text in ["", "12", &"g".repeat(32), &"1".repeat(33), "é1234567890123456789012345678901"] {
            fs::write(&path, text).unwrap();
            let error = format!("{:#}", find(Some(&path)).unwrap_err());
            assert!(error.contains("expected 32 hexadecimal digits"), "{error}");
        }
        let error = find(Some(&folder.path().join("none"))).unwrap_err().to_string();
        assert!(error.contains("no token at ") && error.contains("--token"), "{error}");
    }
}
