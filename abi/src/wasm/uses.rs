//! Marks that tell the packer what a module uses: none here, where its imports do.

/// Does nothing.
macro_rules! mark {
    ($letter:literal) => {};
}

pub(crate) use mark;
