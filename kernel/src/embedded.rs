//! The modules in the kernel itself.

use alloc::vec::Vec;

use bareflow_suite::Source;
use bareflow_suite::archive::Archive;

/// The archive of the blobs of `modules/`, as the build packed them.
static EMBEDDED: &[u8] = include_bytes!(env!("BAREFLOW_ARCHIVE_FILE"));

/// Returns the blobs of `modules/`.
pub fn modules() -> Vec<Source<'static>> {
    match Archive::read(EMBEDDED) {
        Ok(archive) => archive.blobs,
        Err(error) => panic!("embedded modules: {error}; build the kernel again"),
    }
}
