//! Options for loading modules.

use std::num::NonZeroU32;

use bareflow_loader::{Allowed, Assignment, Budget, Domain, FaultPolicy, LoadOptions, Timing};
use bareflow_suite::module_limits::ModuleLimits;
use clap::Args;

use super::portable::PortableOptions;
use super::words::{domain, timing};

/// Options for loading modules and measuring their calls.
#[derive(Debug, Args)]
pub struct LoadingOptions {
    /// The domain that modules' code runs in.
    #[arg(long, default_value = "kernel", value_parser = domain())]
    pub domain: Domain,
    /// Limits of every call and of every module's memory: any of `time=10ms,stack=16K,heap=1M,data=1M,memory=64M`; with
    /// a module's name, those of one: `compiler.heap=64M`.
    #[arg(long, value_name = "LIMITS", value_parser = budgets)]
    pub budget: Option<Budgets>,
    /// The reaction to a module's fault: `stop`, `restart`, `restart:N` for at most N times, `fallback` to the version
    /// before, or `backoff` for delayed restarts, as in `backoff:10ms..10s,5/60s,fallback`.
    #[arg(long, value_name = "POLICY", default_value = "stop", value_parser = on_fault)]
    pub on_fault: FaultPolicy,
    /// The way the clock is read around calls.
    #[arg(long, default_value = "precise", value_parser = timing())]
    pub timing: Timing,
    /// Time one in N calls of each module; all are counted.
    #[arg(long, value_name = "N", default_value = "1")]
    pub sample: NonZeroU32,
    /// Services that modules may use: `all`, `none`, or some of `log,clock,call,heap,interfaces,grow`, `interface:NAME` for imports of
    /// one interface, `device:virtio:net` for a device that modules drive; also after `all`, `device-trusted` for devices by which
    /// a driver reaches all memory. Modules that declare others are refused.
    #[arg(long, value_name = "SERVICES", default_value = "all", value_parser = allowed)]
    pub allow: Allowed,
    /// The parameters and imports to set.
    #[command(flatten)]
    pub assignments: AssignmentOptions,
    /// The options for portable modules.
    #[command(flatten)]
    pub portable: PortableOptions,
}

/// The limits of budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// The limits of all modules.
    pub of_all: Budget,
    /// The limits of single ones, as [`ModuleLimits`] takes them.
    pub of_modules: String,
}

/// Values of modules' parameters, and providers of their imports.
#[derive(Debug, Default, Args)]
pub struct AssignmentOptions {
    /// Set a parameter, as it is declared: see `inspect`; without `=VALUE`, to its default. May be given several times.
    #[arg(long, value_name = "MODULE.PARAMETER=VALUE", value_parser = assignment)]
    set: Vec<String>,
    /// Bind an import to a provider: `NAME` or `NAME@VERSION`; without `=PROVIDER`, as its Cargo.toml says. May be given
    /// several times.
    #[arg(long, value_name = "MODULE.IMPORT=PROVIDER", value_parser = binding)]
    bind: Vec<String>,
}

impl AssignmentOptions {
    /// Returns the lines that the loader takes, as one text.
    #[must_use]
    pub fn lines(&self) -> String {
        self.set.iter().chain(&self.bind).map(|line| format!("{line}\n")).collect()
    }
}

impl LoadingOptions {
    /// Returns the options in the loader's form.
    #[must_use]
    pub fn load(&self) -> LoadOptions {
        LoadOptions {
            domain: self.domain,
            limits: self.budget.as_ref().map_or(Budget::LIMITS, |budgets| budgets.of_all),
            on_fault: self.on_fault,
            sample_every: self.sample,
            allowed: self.allow,
        }
    }

    /// Returns the limits of single modules.
    #[must_use]
    pub fn module_limits(&self) -> &str {
        self.budget.as_ref().map_or("", |budgets| &budgets.of_modules)
    }
}

/// Parses limits, which may be those of single modules.
pub(super) fn budgets(text: &str) -> Result<Budgets, String> {
    let (mut of_all, mut of_modules) = (Vec::new(), Vec::new());
    for part in text.split(',') {
        match ModuleLimits::check(part).map_err(|error| error.to_string())? {
            Some(_) => of_modules.push(part),
            None => of_all.push(part),
        }
    }
    let of_all = if of_all.is_empty() { Budget::LIMITS } else { budget(&of_all.join(","))? };
    Ok(Budgets { of_all, of_modules: of_modules.join(",") })
}

/// Parses limits.
pub(super) fn budget(text: &str) -> Result<Budget, String> {
    Budget::LIMITS.parse(text).map_err(|error| error.to_string())
}

/// Checks a line that sets a parameter, which whoever loads the module parses again.
fn assignment(text: &str) -> Result<String, String> {
    Assignment::parse(text).map(|line| line.line.to_owned()).map_err(|error| error.to_string())
}

/// Checks what binds an import, and returns the line for whoever loads the module.
fn binding(text: &str) -> Result<String, String> {
    assignment(&format!("bind {text}"))
}

/// Parses a policy.
pub(super) fn allowed(text: &str) -> Result<Allowed, String> {
    Allowed::parse(text).map_err(|error| error.to_string())
}

/// Parses a fault policy.
pub(super) fn on_fault(text: &str) -> Result<FaultPolicy, String> {
    FaultPolicy::parse(text).ok_or_else(|| format!("expected {}", FaultPolicy::EXPECTED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_may_be_those_of_one_module() {
        let found = budgets("compiler.heap=64M,time=10ms,sum.stack=16K").unwrap();
        assert_eq!(found.of_all, Budget { time_us: 10_000, ..Budget::LIMITS });
        assert_eq!(found.of_modules, "compiler.heap=64M,sum.stack=16K");
        assert_eq!(budgets("sum.heap=1M").unwrap().of_all, Budget::LIMITS);
        assert!(budgets("sum.speed=1").unwrap_err().contains("\"sum.speed=1\" is no budget"));
    }
}
