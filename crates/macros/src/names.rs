//! The rules for names, which are those of `bareflow-abi`: a macro tells of a mistake where it was made.

/// The maximum length of the name of an event, an import, an interface or a module, in bytes.
pub(crate) const MAX_NAME: usize = 31;

/// The maximum length of a function's name, in bytes.
pub(crate) const MAX_FUNCTION_NAME: usize = 63;

/// Returns whether a text has 1 to `length` of `a` to `z`, `0` to `9` and `_`.
pub(crate) fn is_name(text: &str, length: usize) -> bool {
    (1..=length).contains(&text.len()) && text.bytes().all(is_name_byte)
}

/// Returns whether a text is the name of an event, which does not begin with a digit.
pub(crate) fn is_event_name(text: &str) -> bool {
    is_name(text, MAX_NAME) && !text.starts_with(|first: char| first.is_ascii_digit())
}

/// Returns whether a text names a notification of a module: `module.notification`.
pub(crate) fn is_source(text: &str) -> bool {
    text.split_once('.').is_some_and(|(module, name)| is_module_name(module) && is_event_name(name))
}

/// Returns whether a text is the name of a module, which may contain `-`.
fn is_module_name(text: &str) -> bool {
    (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(|byte| is_name_byte(byte) || byte == b'-')
}

const fn is_name_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')
}
