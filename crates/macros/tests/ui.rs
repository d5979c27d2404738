//! Mistakes, each of which is an error of the compilation at its place, with the remedy in its text.

#[test]
fn mistakes_are_errors_where_they_are() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
