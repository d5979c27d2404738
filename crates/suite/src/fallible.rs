//! Fallible construction of texts and lists.
//!
//! `format!` and `Vec::push` end the kernel if memory runs out. Code that clients and modules can reach uses these
//! functions instead. They return [`NoMemory`], which converts to an [`ErrorText`] for people.
//!
//! `fallible_collections` has lists of that kind, but its `tryformat!` must be told how long a text can get, and
//! allocates infallibly where it gets longer. Here the text is formatted twice: first only to count.

use alloc::borrow::Cow;
use alloc::collections::TryReserveError;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use bareflow_protocol::control::{Refusal, RefusalCode};

/// The text of an error: allocated, or static.
pub type ErrorText = Cow<'static, str>;

/// The text of a lack of memory.
pub const NO_MEMORY: &str = "no memory for that; unload a module or give the system more memory";

/// The error for a lack of memory; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{NO_MEMORY}")]
pub struct NoMemory;

impl From<TryReserveError> for NoMemory {
    fn from(_: TryReserveError) -> NoMemory {
        NoMemory
    }
}

impl From<NoMemory> for Refusal {
    fn from(_: NoMemory) -> Refusal {
        Refusal::new(RefusalCode::NoMemory, NO_MEMORY)
    }
}

impl From<NoMemory> for ErrorText {
    fn from(_: NoMemory) -> ErrorText {
        Cow::Borrowed(NO_MEMORY)
    }
}

/// Formats a text; see [`text!`](crate::text!).
///
/// # Errors
/// [`NoMemory`].
pub fn format(arguments: fmt::Arguments<'_>) -> Result<String, NoMemory> {
    let mut length = Length(0);
    // These writers never fail, and neither does the formatting itself.
    let _ = length.write_fmt(arguments);
    let mut text = String::new();
    text.try_reserve_exact(length.0)?;
    let _ = text.write_fmt(arguments);
    Ok(text)
}

/// Formats a text like `format!`, but returns [`NoMemory`] if memory runs out.
#[macro_export]
macro_rules! text {
    ($($argument:tt)*) => {
        $crate::fallible::format(::core::format_args!($($argument)*))
    };
}

/// Formats an [`ErrorText`]; if there is no memory for it, it says so.
#[macro_export]
macro_rules! error_text {
    ($($argument:tt)*) => {
        $crate::fallible::format(::core::format_args!($($argument)*))
            .map_or_else($crate::fallible::ErrorText::from, $crate::fallible::ErrorText::Owned)
    };
}

/// Copies bytes.
///
/// # Errors
/// [`NoMemory`].
pub fn copy(bytes: &[u8]) -> Result<Vec<u8>, NoMemory> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// Adds an item to a list.
///
/// # Errors
/// [`NoMemory`]; the list is unchanged then.
pub fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), NoMemory> {
    list.try_reserve(1)?;
    list.push(item);
    Ok(())
}

/// Adds an item to a list, unless one before has failed: for lists that a callback fills.
pub fn push_result<T>(list: &mut Result<Vec<T>, NoMemory>, item: impl FnOnce() -> Result<T, NoMemory>) {
    let added = match list {
        Ok(list) => item().and_then(|item| push(list, item)),
        Err(NoMemory) => return,
    };
    if let Err(error) = added {
        *list = Err(error);
    }
}

/// Collects any number of items into a list.
///
/// # Errors
/// The first error among the items, or [`NoMemory`].
pub fn collect<T, E: From<NoMemory>>(items: impl Iterator<Item = Result<T, E>>) -> Result<Vec<T>, E> {
    let mut list = Vec::new();
    for item in items {
        push(&mut list, item?)?;
    }
    Ok(list)
}

/// A writer that only counts bytes.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_format_does() {
        let name = "sum";
        assert_eq!(text!("{name}: {}", 5050).as_deref(), Ok("sum: 5050"));
        assert_eq!(text!("{name}").map(|text| text.capacity()), Ok(3));
        assert_eq!(error_text!("{name}!"), "sum!");
    }

    #[test]
    fn adds_until_something_fails() {
        let mut list = Ok(Vec::new());
        [1, 2].into_iter().for_each(|number| push_result(&mut list, || Ok(number)));
        assert_eq!(list.as_deref(), Ok(&[1, 2][..]));
        push_result(&mut list, || Err(NoMemory));
        push_result(&mut list, || unreachable!("one before has failed"));
        assert_eq!(list, Err(NoMemory));
    }

    #[test]
    fn collects_until_something_fails() {
        assert_eq!(collect::<_, NoMemory>((0..5).map(Ok)), Ok(alloc::vec![0, 1, 2, 3, 4]));
        assert_eq!(collect([Ok(1), Err(NoMemory), Ok(2)].into_iter()), Err(NoMemory));
        assert_eq!(copy(b"bytes"), Ok(b"bytes".to_vec()));
    }
}
