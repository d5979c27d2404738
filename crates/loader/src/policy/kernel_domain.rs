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
    /// All blobs that are loaded into the kernel domain with this permission keep Rust's rules as the embedder's own code
    /// has to: they access no memory but their own and what a call gives them, and execute no privileged instruction
    /// that changes the processor's state.
    #[expect(unsafe_code, reason = "declares a contract")]
    #[must_use]
    pub const unsafe fn trust_all_blobs() -> KernelDomain {
        KernelDomain(())
    }
}
