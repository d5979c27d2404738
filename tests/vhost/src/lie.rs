//! The ways in which a device lies about a ring.

/// A way in which a device gives a chain back that breaks the rules of its ring (OASIS, Virtual I/O Device 1.2, 2.7.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// A number that is none of a descriptor's: the ring's size.
    IdOutOfRange,
    /// The number of a descriptor that begins no chain: that of the second one of the chain.
    IdNotGiven,
    /// The chain's number, twice.
    IdTwice,
    /// A byte more than the chain has room for.
    TooLong,
    /// An index that is ahead of what was given by more than the ring's size.
    IndexJumps,
    /// An index that is lower by one than before.
    IndexRunsBackwards,
}

impl Lie {
    /// All of them.
    pub const ALL: [Lie; 6] =
        [Lie::IdOutOfRange, Lie::IdNotGiven, Lie::IdTwice, Lie::TooLong, Lie::IndexJumps, Lie::IndexRunsBackwards];
}
