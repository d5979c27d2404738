//! The names of methods, in the text of a module's signatures. It may be any bytes: nothing but names depends on it.

/// Returns the names of an interface's methods, in order; those of the module's plain functions if `interface` is empty.
pub(crate) fn method_names<'text>(signatures: &'text [u8], interface: &'text str) -> impl Iterator<Item = &'text str> {
    method_lines(signatures, interface).map(name_in)
}

/// Returns the lines of an interface's methods, as [`method_names`] returns their names.
pub(crate) fn method_lines<'text>(signatures: &'text [u8], interface: &'text str) -> impl Iterator<Item = &'text str> {
    block(signatures, interface).take_while(is_method)
}

/// Returns the lines behind the first one of an interface, those of the next ones included.
fn block<'text>(signatures: &'text [u8], interface: &str) -> impl Iterator<Item = &'text str> {
    let text = core::str::from_utf8(signatures).unwrap_or_default();
    let is_its_begin = move |line: &str| match interface {
        "" => line == "functions",
        name => line.strip_prefix("interface ").and_then(|rest| rest.split(' ').next()) == Some(name),
    };
    text.lines().skip_while(move |line| !is_its_begin(line)).skip(1)
}

fn is_begin(line: &str) -> bool {
    line == "functions" || line.starts_with("interface ")
}

fn is_method(line: &&str) -> bool {
    line.starts_with("fn ")
}

/// Returns the first type of an interface that two texts define differently under one name, as each of them has it.
pub(crate) fn changed_type<'text>(
    one: &'text [u8],
    other: &'text [u8],
    interface: &str,
) -> Option<(&'text str, &'text str)> {
    let of = |line: &'text str| line.split(' ').nth(1);
    type_lines(one, interface).find_map(|ours| {
        let theirs = type_lines(other, interface).find(|theirs| of(theirs) == of(ours))?;
        (ours != theirs).then_some((ours, theirs))
    })
}

/// Returns the lines of the types that an interface names.
fn type_lines<'text>(signatures: &'text [u8], interface: &str) -> impl Iterator<Item = &'text str> {
    block(signatures, interface).skip_while(is_method).take_while(|line| !is_begin(line))
}

/// Returns the name in a method's line.
pub(crate) fn name_in(line: &str) -> &str {
    line.strip_prefix("fn ").and_then(|rest| rest.split('(').next()).unwrap_or_default()
}

/// Returns the first argument in which two lines of a method differ, as each of them has it; the results if all arguments
/// are alike.
pub(crate) fn first_difference<'line>(one: &'line str, other: &'line str) -> Option<(&'line str, &'line str)> {
    let parts = |line: &'line str| {
        let (arguments, result) = line.split_once(") -> ").unwrap_or((line, ""));
        let arguments = arguments.split_once('(').map_or("", |(_, arguments)| arguments);
        (arguments, result)
    };
    let ((ours, our_result), (theirs, their_result)) = (parts(one), parts(other));
    let (mut ours, mut theirs) = (Arguments(ours), Arguments(theirs));
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return (our_result != their_result).then_some((our_result, their_result)),
            (ours, theirs) if ours.map(type_of) != theirs.map(type_of) => {
                return Some((ours.unwrap_or("nothing"), theirs.unwrap_or("nothing")));
            }
            _ => {}
        }
    }
}

/// Returns an argument without its name, by which nothing is bound.
fn type_of(argument: &str) -> &str {
    argument.split_once(": ").map_or(argument, |(_, of)| of)
}

/// An iterator over arguments, between commas that are in no brackets.
struct Arguments<'line>(&'line str);

impl<'line> Iterator for Arguments<'line> {
    type Item = &'line str;

    fn next(&mut self) -> Option<&'line str> {
        let mut depth = 0_i32;
        let end = self.0.bytes().position(|byte| {
            match byte {
                b'<' | b'[' | b'(' => depth += 1,
                b'>' | b']' | b')' => depth -= 1,
                _ => {}
            }
            byte == b',' && depth == 0
        });
        let (first, rest) = match end {
            Some(end) => (self.0.get(..end)?, self.0.get(end + 1..)?),
            None => (self.0, ""),
        };
        self.0 = rest;
        Some(first.trim()).filter(|first| !first.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const TEXT: &[u8] = b"interface files 1.0\nfn read(&mut self, path: &str) -> Result<u64, E>\nfn size(&self) -> \
        Result<u64, E>\nenum E { A = 1 }\nfunctions\nfn net_init() -> i32\ninterface empty 1.0\n";

    #[test]
    fn finds_the_names_of_each_block() {
        let names = |interface| method_names(TEXT, interface).collect::<Vec<_>>();
        assert_eq!(names("files"), ["read", "size"]);
        assert_eq!(names(""), ["net_init"]);
        assert!(names("empty").is_empty() && names("file").is_empty());
    }

    #[test]
    fn finds_the_argument_that_differs() {
        let line = "fn read(&mut self, path: &str, into: &mut Out<'_, u8>, pair: &[u8; 2]) -> Result<u64, E>";
        let with = |from: &str, to: &str| line.replace(from, to);
        assert_eq!(first_difference(line, line), None);
        assert_eq!(first_difference(line, &with("path", "name")), None);
        assert_eq!(first_difference(line, &with("&mut self", "&self")), Some(("&mut self", "&self")));
        let other = with("'_, u8", "'_, u16");
        assert_eq!(first_difference(line, &other), Some(("into: &mut Out<'_, u8>", "into: &mut Out<'_, u16>")));
        assert_eq!(first_difference(line, &with(", pair: &[u8; 2]", "")), Some(("pair: &[u8; 2]", "nothing")));
        assert_eq!(first_difference(line, &with("u64, E", "u32, E")), Some(("Result<u64, E>", "Result<u32, E>")));
        assert_eq!(first_difference("fn", ""), None);
    }

    #[test]
    fn finds_the_type_that_differs() {
        let other = core::str::from_utf8(TEXT).unwrap().replace("A = 1", "A = 2");
        assert_eq!(changed_type(TEXT, other.as_bytes(), "files"), Some(("enum E { A = 1 }", "enum E { A = 2 }")));
        assert_eq!(changed_type(TEXT, TEXT, "files"), None);
        assert_eq!(changed_type(TEXT, b"", "files"), None);
    }

    #[test]
    fn takes_any_bytes() {
        assert_eq!(method_names(b"\xff", "files").count(), 0);
        assert_eq!(method_names(b"functions\nfn ", "").collect::<Vec<_>>(), [""]);
    }
}
