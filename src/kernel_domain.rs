//! The permission to run blobs within this process.

#![expect(unsafe_code, reason = "states who is responsible for the blobs that are run")]

use bareflow_loader::KernelDomain;

/// Returns the permission for blobs that the user of a command names, or that were built here.
pub const fn kernel_domain() -> KernelDomain {
    // SAFETY: whoever runs a blob by a command vouches for it, as for a program that is started. `--domain user` runs
    // one that is not trusted.
    unsafe { KernelDomain::trust_all_blobs() }
}
