//! The modules in the kernel itself.

/// The archive of the blobs of `modules/`, as the build packed them.
pub static EMBEDDED: &[u8] = include_bytes!(env!("BAREFLOW_ARCHIVE_FILE"));
