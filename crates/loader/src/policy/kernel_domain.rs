//! The permission to load code into the kernel domain.

/// The permission to load blobs into the kernel domain, where their code may do all that the embedder's own code may.
///
/// A valid blob is any machine code with a right checksum, so it has to be trusted like a part of the embedder. Modules
/// in the user domain need no permission.
#[derive(Clone, Copy, Debug)]
pub struct KernelDomain(());

impl KernelDomain {
    /// Permits loads into the kernel domain.
    ///
    /// # Safety
    /// All blobs that are loaded into the kernel domain with this permission, or placed with it outside of a manager,
    /// - access only their own memory and what a call gives them,
    /// - jump only to their own code, to the services they declare, and back to their caller,
    /// - execute no instruction that changes the processor's state beyond what a function may.
    ///
    /// An access, a jump or an instruction that raises an exception instead is allowed where the platform contains
    /// faults.
    #[expect(unsafe_code, reason = "declares a contract")]
    #[must_use]
    pub const unsafe fn trust_all_blobs() -> KernelDomain {
        KernelDomain(())
    }
}
