//! The writer.

use super::bytes::{put_bytes, put_number};
use super::read::{ExternKind, MAGIC, Memory};
use super::section;

/// A file that is written, section by section.
#[derive(Debug)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// Begins a file.
    pub(crate) fn new() -> Writer {
        Writer(MAGIC.to_vec())
    }

    /// Returns the file.
    pub(crate) fn end(self) -> Vec<u8> {
        self.0
    }

    /// Appends a section.
    pub(crate) fn section(&mut self, number: u8, content: &[u8]) {
        self.0.push(number);
        put_bytes(content, &mut self.0);
    }

    /// Appends a custom section.
    pub(crate) fn custom(&mut self, name: &str, content: &[u8]) {
        let mut section = Vec::new();
        put_bytes(name.as_bytes(), &mut section);
        section.extend_from_slice(content);
        self.section(section::CUSTOM, &section);
    }

    /// Appends the section of a memory.
    pub(crate) fn memory(&mut self, Memory { initial, maximum }: Memory) {
        let mut content = vec![1, maximum.is_some().into()];
        [Some(initial), maximum].into_iter().flatten().for_each(|pages| put_number(pages, &mut content));
        self.section(section::MEMORY, &content);
    }

    /// Appends the section of exports: names, kinds and numbers.
    pub(crate) fn exports(&mut self, exports: &[(&str, ExternKind, u32)]) {
        let mut content = Vec::new();
        put_number(exports.len() as u32, &mut content);
        for (name, kind, index) in exports {
            put_bytes(name.as_bytes(), &mut content);
            content.push(*kind as u8);
            put_number(*index, &mut content);
        }
        self.section(section::EXPORT, &content);
    }

    /// Appends the section of names: that of the module, and those of functions.
    pub(crate) fn names(&mut self, module: &str, functions: &[(u32, String)]) {
        let (mut name, mut list, mut content) = (Vec::new(), Vec::new(), Vec::new());
        put_bytes(module.as_bytes(), &mut name);
        put_number(functions.len() as u32, &mut list);
        for (index, name) in functions {
            put_number(*index, &mut list);
            put_bytes(name.as_bytes(), &mut list);
        }
        for (number, part) in [(0, name), (1, list)] {
            content.push(number);
            put_bytes(&part, &mut content);
        }
        self.custom("name", &content);
    }
}
