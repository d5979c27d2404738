//! What a kernel found that made modules fault, one class of faults after the other.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultTable {
    /// `kernel` or `user`.
    pub domain: String,
    /// One row for each class, in the order of the input.
    pub rows: Vec<FaultRow>,
    /// Pages that are mapped writable and executable, in all page tables together.
    pub writable_and_executable: u64,
}

/// What came of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultRow {
    /// The class.
    pub name: String,
    /// What the call came to: a result, or the name of a fault's kind.
    pub outcome: Result<i32, String>,
    /// Where it faulted, and what was accessed.
    pub place: (Option<u64>, Option<u64>),
    /// Cycles from the fault to the end of the next good call of another module.
    pub recovery_cycles: Option<u64>,
    /// Whether that call was good.
    pub next_is_good: bool,
    /// Frames that are missing when the module is unloaded.
    pub frames_missing: u64,
}
