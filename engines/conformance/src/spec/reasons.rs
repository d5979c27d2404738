//! The reasons for which assertions of the specification's tests are not run.
//!
//! Files of version 1 share memories, tables, globals or functions between modules: linking, imports, elem. An
//! assertion on a module that imports from another one is not run, nor are those on what such a module would have changed.

/// The reason why modules that import from others are refused.
const SHARED: &str = "a portable module imports functions of the module `bareflow` only";

/// The reason why a shared table or memory is not as it would be.
const CHANGED: &str = "a module that is refused would have written to the table or memory that it imports";

/// The assertions on what refused modules would have changed: file and line, in version 1.
const CHANGED_BY_OTHERS: [(&str, usize); 13] = [
    ("elem.wast", 366),
    ("elem.wast", 367),
    ("elem.wast", 379),
    ("elem.wast", 380),
    ("elem.wast", 381),
    ("linking.wast", 172),
    ("linking.wast", 178),
    ("linking.wast", 289),
    ("linking.wast", 343),
    ("linking.wast", 344),
    ("linking.wast", 356),
    ("linking.wast", 389),
    ("linking.wast", 390),
];

/// Returns the reason for a refusal that is no defect.
pub fn of_refusal(why: &str) -> Option<String> {
    why.starts_with("it imports ").then(|| format!("{why} ({SHARED})"))
}

/// Returns the reason why the assertion in this line is not run.
pub fn of_line(file: &str, line: usize) -> Option<String> {
    CHANGED_BY_OTHERS.contains(&(file, line)).then(|| CHANGED.to_owned())
}
