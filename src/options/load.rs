//! Options for loading modules.

use std::num::NonZeroU32;

use bareflow_loader::{Budget, FaultPolicy, LoadOptions, Permissions};
use clap::{Args, ValueEnum};

/// Options for loading modules and measuring their calls.
#[derive(Debug, Args)]
pub struct LoadingOptions {
    /// The domain that modules' code runs in.
    #[arg(long, value_enum, default_value_t = Domain::Kernel)]
    pub domain: Domain,
    /// Limits of every call and of every module's memory: any of `time=10ms,stack=16K,heap=1M,data=1M`.
    #[arg(long, value_name = "LIMITS", value_parser = budget)]
    pub budget: Option<Budget>,
    /// The reaction to a module's fault: `stop`, `restart`, or `restart:N` for at most N times.
    #[arg(long, value_name = "POLICY", default_value = "stop", value_parser = on_fault)]
    pub on_fault: FaultPolicy,
    /// The way the clock is read around calls.
    #[arg(long, value_enum, default_value_t = Timing::Precise)]
    pub timing: Timing,
    /// Time one in N calls of each module; all are counted.
    #[arg(long, value_name = "N", default_value = "1")]
    pub sample: NonZeroU32,
    /// Services that modules may use: `all`, `none`, or some of `log,clock,call,heap`; modules that declare others are
    /// refused.
    #[arg(long, value_name = "SERVICES", default_value = "all", value_parser = allowed)]
    pub allow: Permissions,
}

impl LoadingOptions {
    /// Returns the options in the loader's form.
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

/// Parses limits.
pub(super) fn budget(text: &str) -> Result<Budget, String> {
    Budget::LIMITS.parse(text).map_err(|error| error.to_string())
}

/// Parses a set of services.
pub(super) fn allowed(text: &str) -> Result<Permissions, String> {
    Permissions::parse(text).map_err(|error| error.to_string())
}

/// Parses a fault policy.
pub(super) fn on_fault(text: &str) -> Result<FaultPolicy, String> {
    FaultPolicy::parse(text).ok_or_else(|| "expected stop, restart or restart:N".to_owned())
}

/// The domain that modules' code runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Domain {
    /// Ring 0, called directly; with `host`, in this process.
    Kernel,
    /// Ring 3, in an address space of its own; with `host`, in a child process.
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

/// The way the clock is read around calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Timing {
    /// With fences: each reading covers the whole call and nothing else.
    Precise,
    /// Without fences: only two reads of the clock.
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
