//! The results of a run that makes modules fault, by class of faults.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// The results of all classes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultTable {
    /// The domain: `kernel` or `user`.
    pub domain: String,
    /// The rows, one for each class, in the order of the input.
    pub rows: Vec<FaultRow>,
    /// The number of pages that are mapped writable and executable, in all page tables together.
    pub writable_and_executable: u64,
}

/// The result of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultRow {
    /// The name of the class.
    pub name: String,
    /// The outcome of the call: a result, or the name of a fault's kind.
    pub outcome: Result<i32, String>,
    /// The offset of the faulting instruction, and the accessed address.
    pub place: (Option<u64>, Option<u64>),
    /// The cycles from the fault to the end of the next successful call of another module.
    pub recovery_cycles: Option<u64>,
    /// Whether that call and those of all modules that the faulty one uses were successful, and its receipt balanced.
    pub next_is_good: bool,
    /// The number of frames that are missing after the module is unloaded.
    pub frames_missing: u64,
}
