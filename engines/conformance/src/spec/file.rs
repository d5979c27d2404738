//! A file of the tests: its directives, and the modules with what is asserted of them.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use bareflow_loader::FaultKind;
use wast::token::Id;
use wast::{QuoteWat, WastDirective, WastExecute, WastInvoke};

use super::reasons;
use super::tally::Tally;
use super::value::{bits_of, pattern_of};
use crate::case::{Case, End};
use crate::place::{Place, Refusal, judge};

/// The outcome of a directive.
pub enum Outcome {
    Passed,
    PassedByText,
    /// The directive is no assertion, or one that is a case now.
    Done,
    Failed(String),
    LeftOut(String),
}

/// A module, and what is asserted of it.
pub struct Module {
    place: String,
    wasm: Vec<u8>,
    cases: Vec<Case>,
    /// For each case, whether it is an assertion.
    asserted: Vec<bool>,
}

/// A file that is being run.
pub struct File<'place> {
    /// Where its modules run.
    pub place: &'place mut dyn Place,
    /// The modules.
    pub modules: Vec<Module>,
    /// The numbers of modules with names.
    pub named: BTreeMap<String, usize>,
}

impl File<'_> {
    /// Runs a directive, which stands at a place in the text.
    pub fn directive(&mut self, directive: WastDirective<'_>, at: &str) -> Result<Outcome> {
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
    pub fn judge(&mut self, module: &Module, tally: &mut Tally) -> Result<()> {
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
