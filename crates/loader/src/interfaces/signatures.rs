//! The names of methods, in the text of a module's signatures. It may be any bytes: nothing but names depends on it.

/// Returns the names of an interface's methods, in order; those of the module's plain functions if `interface` is empty.
pub(crate) fn method_names<'text>(signatures: &'text [u8], interface: &'text str) -> impl Iterator<Item = &'text str> {
    let text = core::str::from_utf8(signatures).unwrap_or_default();
    let is_begin = move |line: &str| match interface {
        "" => line == "functions",
        name => line.strip_prefix("interface ").and_then(|rest| rest.split(' ').next()) == Some(name),
    };
    let mut lines = text.lines().skip_while(move |line| !is_begin(line)).skip(1);
    let is_method = |line: &&str| line.starts_with("fn ");
    core::iter::from_fn(move || lines.next().filter(is_method))
        .filter_map(|line| line.strip_prefix("fn ")?.split('(').next())
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
    fn takes_any_bytes() {
        assert_eq!(method_names(b"\xff", "files").count(), 0);
        assert_eq!(method_names(b"functions\nfn ", "").collect::<Vec<_>>(), [""]);
    }
}
