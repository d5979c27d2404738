//! How modules are loaded, as the command line says it.

use std::num::NonZeroU32;

use bareflow_loader::{Budget, FaultPolicy, LoadOptions, Permissions};
use clap::{Args, ValueEnum};

/// How modules are loaded, and their calls measured.
#[derive(Debug, Args)]
pub struct LoadingOptions {
    /// Where the code of modules runs.
    #[arg(long, value_enum, default_value_t = Domain::Kernel)]
    pub domain: Domain,
    /// The most a call may take and a module may have, whatever it asks for: `time=10ms,stack=16K,heap=1M,data=1M`, any of them.
    #[arg(long, value_name = "LIMITS", value_parser = budget)]
    pub budget: Option<Budget>,
    /// What happens to a module that faults: `stop`, `restart`, or `restart:N` for at most N times.
    #[arg(long, value_name = "POLICY", default_value = "stop", value_parser = on_fault)]
    pub on_fault: FaultPolicy,
    /// How the clock is read around calls.
    #[arg(long, value_enum, default_value_t = Timing::Precise)]
    pub timing: Timing,
    /// Times one in N calls of each module, and counts all.
    #[arg(long, value_name = "N", default_value = "1")]
    pub sample: NonZeroU32,
    /// What modules may use: `all`, `none`, or some of `log,clock,call,heap`; those that declare more are refused.
    #[arg(long, value_name = "SERVICES", default_value = "all", value_parser = allowed)]
    pub allow: Permissions,
}

impl LoadingOptions {
    /// How modules are loaded.
    #[must_use]
    pub fn load(&self) -> LoadOptions {
        LoadOptions {
            domain: self.domain.into(),
            limits: self.budget.unwrap_or(Budget::LIMITS),
            on_fault: self.on_fault,
            sample_every: self.sample,
            allowed: self.allow,
        }
    }
}

/// Reads limits.
pub(super) fn budget(text: &str) -> Result<Budget, String> {
    Budget::LIMITS.parse(text).map_err(|error| error.to_string())
}

/// Reads what modules may use.
pub(super) fn allowed(text: &str) -> Result<Permissions, String> {
    Permissions::parse(text).map_err(|error| error.to_string())
}

/// Reads what happens to a module that faults.
pub(super) fn on_fault(text: &str) -> Result<FaultPolicy, String> {
    FaultPolicy::parse(text).ok_or_else(|| "expected stop, restart or restart:N".to_owned())
}

/// Where the code of modules runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Domain {
    /// In ring 0, called directly; with `host`, in this process.
    Kernel,
    /// In ring 3, in an address space of its own; with `host`, in a child process.
    User,
}

impl From<Domain> for bareflow_loader::Domain {
    fn from(domain: Domain) -> bareflow_loader::Domain {
        match domain {
            Domain::Kernel => bareflow_loader::Domain::Kernel,
            Domain::User => bareflow_loader::Domain::User,
        }
    }
}

/// How the clock is read around calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Timing {
    /// With fences: each reading covers the whole call and nothing else.
    Precise,
    /// Without: two clock reads and nothing more.
    Fast,
}

impl From<Timing> for bareflow_loader::Timing {
    fn from(timing: Timing) -> bareflow_loader::Timing {
        match timing {
            Timing::Precise => bareflow_loader::Timing::Precise,
            Timing::Fast => bareflow_loader::Timing::Fast,
        }
    }
}
