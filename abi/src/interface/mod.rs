//! Typed calls between modules, and between a module and its embedder.
//!
//! An *interface* is a named, versioned set of methods. A module *exports* the interfaces that it implements, and
//! *imports* those that it uses; the loader binds each import to a *provider*: another module, or the embedder.

pub mod bindings;
mod call_error;
mod frame;
mod shape;

pub use call_error::{CallError, Reply, Status};
pub use frame::{Frame, Piece};
pub use shape::{ArgumentKind, MAX_ARGUMENTS, Shape};

/// The number that is added to a function's number to make the reason of its call.
///
/// A module's functions are numbered in the order of its [bindings](bindings::Entries).
pub const FIRST_FUNCTION: u32 = 256;

/// The alignment of every piece in a packed frame, in bytes.
pub const PIECE_ALIGNMENT: usize = 16;
