//! The names of events and notifications.

use syn::ext::IdentExt;
use syn::{Error, Ident, LitStr, Path, Result};

use crate::names::{MAX_NAME, is_event_name, is_source};

/// The maximum number of events, and of notifications.
const MAX_EVENTS: usize = 64;

/// Returns the name of the event that a function handles: the function's own.
pub(super) fn name_of(handler: &Path) -> Result<Ident> {
    let Some(last) = handler.segments.last() else { return Err(Error::new_spanned(handler, "module!: no name")) };
    check_name(&last.ident)?;
    Ok(last.ident.clone())
}

/// Checks that a name follows the rule for names.
pub(super) fn check_name(name: &Ident) -> Result<()> {
    if is_event_name(&name.unraw().to_string()) {
        return Ok(());
    }
    let message = format!("module!: `{name}` is no event's name: `[a-z_][a-z0-9_]*`, at most {MAX_NAME} bytes");
    Err(Error::new(name.span(), message))
}

/// Checks that a source is a module and a notification of it.
pub(super) fn check_source(source: &LitStr) -> Result<()> {
    if is_source(&source.value()) {
        return Ok(());
    }
    let message = "module!: name a module and what it publishes, as in \"feed.price\"";
    Err(Error::new(source.span(), message))
}

/// Checks that a name is not among those that came before, and that there is room for it.
pub(super) fn check_new<'name>(name: &Ident, others: impl IntoIterator<Item = &'name Ident>) -> Result<()> {
    let mut count = 0;
    for other in others {
        if other == name {
            return Err(Error::new(name.span(), format!("module!: `{name}` is there already")));
        }
        count += 1;
    }
    if count < MAX_EVENTS {
        return Ok(());
    }
    Err(Error::new(
        name.span(),
        format!("module!: a module has at most {MAX_EVENTS} events, and as many notifications"),
    ))
}
