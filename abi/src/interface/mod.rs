//! Typed calls between modules, and between a module and its embedder.
//!
//! An *interface* is a named, versioned set of methods. A module *exports* the interfaces that it implements, and
//! *imports* those that it uses; the loader binds each import to a *provider*: another module, or the embedder.
//!
//! An interface is declared as a trait, in a crate that both sides depend on:
//!
#![cfg_attr(feature = "interfaces", doc = "```")]
#![cfg_attr(not(feature = "interfaces"), doc = "```ignore")]
//! use bareflow_abi::{CallError, Failure, interface};
//!
//! /// Files, by their paths.
//! #[interface(version = "1.0")]
//! pub trait Files {
//!     /// Reads up to `into.len()` bytes of `path` from `offset` on, and returns how many those were.
//!     fn read(&mut self, path: &str, offset: u64, into: &mut [u8]) -> Result<u64, FileError>;
//! }
//!
//! /// An error of files.
//! #[derive(Clone, Copy, Debug, PartialEq, Eq, Failure)]
//! pub enum FileError {
//!     /// There is no such file.
//!     NoSuchFile,
//!     /// The call gave no answer.
//!     #[call_error]
//!     Call(CallError),
//! }
//! ```
//!
//! A module implements the trait for its state, `module!(state = Disk, exports = [Files])`, or uses it,
//! `module!(scan, imports = { source: Files })`: its function gets `with: Imports`, and calls `with.source.read(..)`. Code
//! that takes `&mut impl Files` takes a client, a provider, or a test's own implementation.
//!
//! A call can always fail on its way, so every method returns a `Result`, whose error has room for a [`CallError`]. After
//! an `Err` the bytes of a `&mut [T]` are unspecified.

mod arguments;
pub mod bindings;
mod call_error;
mod failure;
mod frame;
mod out;
mod plain;
mod port;
mod scalar;
mod shape;
mod signature;
mod text;
mod types;
#[doc(hidden)]
pub mod words;

pub use arguments::Arguments;
pub use call_error::{CallError, Reply, Status};
pub use failure::Failure;
pub use frame::{Frame, Layout, MAX_REPLY_WORDS, MAX_WORDS, Piece, Side};
pub use out::Out;
pub use plain::Plain;
pub use port::{InvokeService, Port, Target, client};
pub use scalar::Scalar;
pub use shape::{ArgumentKind, MAX_ARGUMENTS, Shape};
#[doc(hidden)]
pub use signature::methods;
pub use signature::{Argument, Signature};
pub use text::{encode_text, join, joined_size, text, text_size};
pub use types::TypeInfo;

/// The number that is added to a function's number to make the reason of its call.
///
/// A module's functions are numbered in the order of its [bindings](bindings::Entries).
pub const FIRST_FUNCTION: u32 = 256;

/// The alignment of every piece in a packed frame, in bytes.
pub const PIECE_ALIGNMENT: usize = 16;

/// An interface. `#[interface]` implements it for `dyn Files`, of a trait `Files`.
///
/// # Safety
/// The methods of a client pass words of the shapes in [`METHODS`](Self::METHODS), which lead to memory that they have
/// borrowed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no interface",
    label = "not an interface",
    note = "put `#[bareflow_abi::interface(version = \"1.0\")]` on the trait"
)]
pub unsafe trait Interface {
    /// The interface's name: that of the trait, in snake case.
    const NAME: &'static str;
    /// The version: major, minor.
    const VERSION: (u16, u16);
    /// The methods' signatures, in order.
    const SIGNATURES: &'static [Signature];
    /// The methods, as the loader compares them.
    const METHODS: &'static [bindings::Method];
    /// The signatures as text, with the types that they name.
    const TEXT: &'static str;
    /// A user's end, which implements the trait.
    type Client<'call>: Copy;

    /// Creates a client.
    fn client(port: Port<'_, Self>) -> Self::Client<'_>;
}

/// An interface that a `T` can provide: every type that implements the trait.
pub trait Serve<T: ?Sized>: Interface {
    /// Calls a method of the provider. Returns the status of the reply, 0 to 511.
    ///
    /// # Errors
    /// [`CallError::BadArgument`] if an argument is no value of its type, [`CallError::NoSuchMethod`].
    fn serve(provider: &mut T, arguments: &Arguments<'_>) -> Result<u32, CallError>;

    /// Calls a method that takes `&self`; others are no such method here.
    ///
    /// # Errors
    /// As for [`serve`](Self::serve).
    fn serve_shared(provider: &T, arguments: &Arguments<'_>) -> Result<u32, CallError>;
}

/// Calls a method of a provider by a frame: one of the embedder's own.
#[must_use]
pub fn serve<I: Serve<T> + ?Sized, T: ?Sized>(provider: &mut T, method: u32, frame: &mut Frame<'_>) -> Reply {
    serve_by::<I>(method, frame, |arguments| I::serve(provider, arguments))
}

/// Calls a method that takes `&self`, as [`serve`] does; others are no such method here.
#[must_use]
pub fn serve_shared<I: Serve<T> + ?Sized, T: ?Sized>(provider: &T, method: u32, frame: &mut Frame<'_>) -> Reply {
    serve_by::<I>(method, frame, |arguments| I::serve_shared(provider, arguments))
}

fn serve_by<I: Interface + ?Sized>(
    method: u32,
    frame: &mut Frame<'_>,
    serve: impl FnOnce(&Arguments<'_>) -> Result<u32, CallError>,
) -> Reply {
    if I::METHODS.get(method as usize).is_none_or(|known| known.shape != frame.shape()) {
        return CallError::NoSuchMethod.into();
    }
    // SAFETY: the shape is the method's, as was just checked.
    unsafe { frame.serve(method, serve) }
}

/// Returns what an entry returns for a [served](Serve) call. [`Status::of_entry`] reads it.
#[inline]
#[must_use]
pub const fn entry_result(served: Result<u32, CallError>) -> i32 {
    match served {
        Ok(status) => status as i32,
        Err(error) => -(error as i32),
    }
}
