//! The names of the runner's exports, whatever those of the module are called.

/// The function `run` of the module.
pub const RUN: &str = "run";
/// The function `init`.
pub const INIT: &str = "init";
/// The function `exit`.
pub const EXIT: &str = "exit";
/// The function `bareflow_entry`.
pub const ENTRY: &str = "entry";
/// The start function.
pub const START: &str = "start";
/// The table of all functions that others can refer to, then of two functions for each segment that can be dropped:
/// one traps if it is, the other drops it.
pub const FUNCTIONS: &str = "functions";
/// The prefix of a global's name, before its number.
pub const GLOBAL: &str = "g";
/// The prefix of a table's name, before its number.
pub const TABLE: &str = "t";
