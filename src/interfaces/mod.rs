//! The interfaces of modules: the command `interfaces`, and calls of methods with arguments in JSON.
//!
//! `exports` reads a module's record and its signatures, which `signature` and `types` understand as Rust; `arguments`
//! packs a call, and `answer` reads what came of it. `listing` and `diff` are the command, as far as it is about files.

pub(crate) mod answer;
mod arguments;
mod diff;
pub(crate) mod exports;
mod line;
pub(crate) mod listing;
pub(crate) mod signature;
pub(crate) mod types;

pub(crate) use diff::diff;

/// The version of the JSON form.
const SCHEMA: u32 = 1;

#[cfg(test)]
mod tests;
