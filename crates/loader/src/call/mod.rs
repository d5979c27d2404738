//! Calls of loaded modules.
//!
//! `execute` looks a module up and calls it, `pinned` has it looked up before, `batch` and `ab_test` call many times;
//! all of them go through `fast`, which leaves to `slow` what it can't do.

pub mod ab_test;
pub mod batch;
pub mod call_cost;
pub mod callee;
pub mod execute;
mod fast_path;
pub mod pinned;
mod slow_path;
