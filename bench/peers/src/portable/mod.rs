//! Portable modules beside the engines of others, and beside the same crates as native blobs.
//!
//! ```text
//! subjects.rs               the modules, each natively and as WebAssembly
//! engines.rs  rivals.rs     our engines and what they make; wasmtime and wasmi
//! host.rs                   the imports, for the engines of others
//! speed.rs  compile.rs      the tables
//! timeline.rs               from the bytes to full speed
//! bound.rs                  figures, what was asked for, and whether it was met
//! ```

pub mod bound;
pub mod compile;
pub mod engines;
mod host;
mod rivals;
pub mod speed;
pub mod subjects;
pub mod timeline;
