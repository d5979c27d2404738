//! The modules, by their names or by others.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bareflow_abi::header::{HEADER_SIZE, Header, checksum_of};

/// The folders of the modules, in the project's.
const FOLDERS: [&str; 7] = [
    "drivers/virtio-net",
    "drivers/e1000e",
    "drivers/tcpip",
    "tests/modules/pass",
    "tests/modules/blast",
    "tests/modules/blast-alone",
    "tests/modules/segments",
];

/// The modules that are measured, and those that measure.
#[derive(Debug)]
pub struct Blobs(BTreeMap<&'static str, Vec<u8>>);

impl Blobs {
    /// Builds them all by `build`, which is given a folder in the project's and returns the blob.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn build<E>(mut build: impl FnMut(&str) -> Result<Vec<u8>, E>) -> Result<Blobs, E> {
        let named = |folder: &'static str| folder.rsplit('/').next().unwrap_or(folder);
        FOLDERS.into_iter().map(|folder| Ok((named(folder), build(folder)?))).collect::<Result<_, E>>().map(Blobs)
    }

    /// Returns a module by the name of its folder.
    pub(crate) fn get(&self, name: &str) -> Result<&[u8]> {
        self.0.get(name).map(Vec::as_slice).with_context(|| format!("no module {name} was built"))
    }

    /// Returns a copy of a module by another name.
    pub(crate) fn renamed(&self, name: &str, to: &str) -> Result<Vec<u8>> {
        with_name(self.get(name)?, to)
    }
}

/// Returns a copy of a blob with another name.
///
/// # Errors
/// When it is no blob, or the name is longer than its place.
pub fn with_name(blob: &[u8], name: &str) -> Result<Vec<u8>> {
    let mut bytes = blob.to_vec();
    let start = bytes.first_chunk_mut::<HEADER_SIZE>().context("the blob ends in its header")?;
    let mut header = Header::from_bytes(start);
    header.name = [0; 32];
    header.name.get_mut(..name.len()).context("the name is too long")?.copy_from_slice(name.as_bytes());
    *start = header.to_bytes();
    let checksum = checksum_of(&bytes).context("the blob is shorter than its header says")?;
    bytes[HEADER_SIZE - 4..HEADER_SIZE].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}
