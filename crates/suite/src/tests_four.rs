//! The four tests of the C system, with its output.

use crate::console::Console;
use bareflow_loader::{ExecuteError, ModuleId, Platform};

use crate::Run;

/// The modules of the four tests.
pub(crate) const NAMES: [&str; 4] = ["fibonacci", "sum", "compute", "primes"];

/// The number of runs of `compute`.
const ITERATIONS: u32 = 10;

impl<P: Platform, C: Console> Run<'_, P, C> {
    /// Runs the four tests.
    pub(crate) fn run_the_four(&mut self) {
        self.run_simple("Simple Sum", "sum", 5050, None, "");
        self.run_simple("Fibonacci", "fibonacci", 6765, None, "");
        self.run_compute(4_488_500);
        self.run_simple("Prime Counter", "primes", 168, Some("Counting primes < 1000..."), " primes found");
    }

    fn run_simple(&mut self, title: &str, name: &str, expected: i32, before: Option<&str>, unit: &str) {
        self.heading(title);
        if let Some(before) = before {
            line!(self.console, Plain, "  {before}");
        }
        let result = self.find(name).and_then(|id| self.execute(name, id));
        if let Some(result) = result {
            line!(self.console, Plain, "  Result: {result}{unit} (expected: {expected})");
        }
        self.conclude(name, Some(expected), result, result == Some(expected), "Test passed!");
    }

    fn run_compute(&mut self, expected: i32) {
        let name = "compute";
        self.heading("Compute Intensive");
        line!(self.console, Plain, "  Running {ITERATIONS} iterations for profiling...");
        let mut result = None;
        let mut passed = false;
        if let Some(id) = self.find(name) {
            passed = true;
            for _ in 0..ITERATIONS {
                result = self.execute(name, id);
                passed &= result == Some(expected);
                if result.is_none() {
                    break;
                }
            }
        }
        if let Some(result) = result.filter(|&result| result != expected) {
            line!(self.console, Plain, "  Result: {result} (expected: {expected})");
        }
        self.conclude(name, Some(expected), result, passed, "10 iterations completed");
    }

    fn heading(&mut self, title: &str) {
        let number = self.tests.len() + 1;
        line!(self.console, Heading, "[TEST {number}] {title} Module");
    }

    fn find(&mut self, name: &str) -> Option<ModuleId> {
        let id = self.manager.find(name);
        if id.is_none() {
            line!(self.console, Error, "[ERROR] Module not found: {name}");
        }
        id
    }

    fn execute(&mut self, name: &str, id: ModuleId) -> Option<i32> {
        self.note_first_call();
        let result: Result<i32, ExecuteError> = self.manager.execute(id);
        result.inspect_err(|error| self.show_error(name, id, error)).ok()
    }
}
