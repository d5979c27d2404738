//! The errors of interfaces.

use super::call_error::{CallError, HANDED_ON, Reply, Status};
use super::scalar::Scalar;
use super::types::TypeInfo;

/// The error of an interface's methods, made by `#[derive(Failure)]`.
///
/// A call can also fail without an answer, so it can be made from a [`CallError`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no error of an interface",
    label = "not a `Failure`",
    note = "make it an enum that derives `bareflow_abi::Failure`, with a variant `#[call_error] Call(CallError)`, or use \
            `CallError` itself"
)]
pub trait Failure: From<CallError> {
    /// The description of the type, with its own variants.
    const TYPE: &'static TypeInfo;

    /// Returns the number: 1 to 255 for the interface's own errors, 256 plus the number of a [`CallError`] that the
    /// provider met itself and hands on.
    fn number(&self) -> u32;

    /// Returns the interface's own error with this number.
    fn from_number(number: u32) -> Option<Self>;
}

impl Failure for CallError {
    const TYPE: &'static TypeInfo = &TypeInfo::Primitive("CallError");

    #[inline]
    fn number(&self) -> u32 {
        HANDED_ON | *self as u32
    }

    #[inline]
    fn from_number(_: u32) -> Option<CallError> {
        None
    }
}

/// Returns the result of the method that left this reply.
///
/// Whether the provider was not reached or hands on what it met itself, the error is the same; the status tells them
/// apart.
#[inline]
pub(crate) fn result<T: Scalar, E: Failure>(reply: Reply) -> Result<T, E> {
    let error = match reply.status {
        0 => match T::from_word(reply.value) {
            Some(value) => return Ok(value),
            None => CallError::BadAnswer,
        },
        number => match u32::try_from(number).ok().filter(|&number| number < HANDED_ON).and_then(E::from_number) {
            Some(own) => return Err(own),
            None => call_error(number),
        },
    };
    Err(error.into())
}

/// Returns the error behind a status that is no error of the interface's own.
#[inline(never)]
fn call_error(status: u64) -> CallError {
    match Status::from_number(status) {
        Status::Failed(error) => error,
        Status::Refused(number) => {
            CallError::from_number(u32::from(number) ^ HANDED_ON).unwrap_or(CallError::BadAnswer)
        }
        Status::Returned => CallError::BadAnswer,
    }
}
