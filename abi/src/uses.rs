//! What the packer is told of code that a module has: that it calls a service, or allocates. Only in a module build.
//!
//! Each mark is a byte in a section that the packer reads and drops. It goes with the function it stands in: where the
//! compiler leaves that out, there is no mark.

/// The section of the marks.
macro_rules! mark {
    ($letter:literal) => {
        // SAFETY: no instruction at all.
        unsafe {
            core::arch::asm!(
                ".pushsection .bareflow.uses, \"\", @progbits",
                concat!(".byte '", $letter, "'"),
                ".popsection",
                options(nomem, nostack, preserves_flags)
            )
        }
    };
}

pub(crate) use mark;
