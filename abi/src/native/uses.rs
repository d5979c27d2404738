//! Marks that tell the packer whether a module calls a service, or allocates. Only in a module build.
//!
//! Each mark is a byte in a section that the packer reads and drops. It belongs to the function that contains it: if
//! the compiler drops the function, there is no mark.

/// Adds a mark to the section.
macro_rules! mark {
    ($letter:literal) => {
        // SAFETY: the assembly contains no instruction.
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
