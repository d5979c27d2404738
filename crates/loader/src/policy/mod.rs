//! Load options: the domain a module runs in, its limits, and the action after a fault.

pub mod allowed;
#[cfg(feature = "parameters")]
pub mod assignment;
pub mod budget;
mod event_limits;
mod fault_policy;
pub mod kernel_domain;
pub mod permissions;

pub use event_limits::EventLimits;
pub use fault_policy::{Backoff, FaultPolicy};

use core::num::NonZeroU32;

use crate::policy::allowed::Allowed;
use crate::policy::budget::Budget;
use crate::policy::permissions::Permissions;

/// The privilege domain that a module's code runs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Domain {
    /// The embedder's own privileges; modules are called directly.
    #[default]
    Kernel,
    /// An address space of its own, without privileges.
    User,
    /// Whichever of the two is safe for code from anyone: the embedder's own privileges for what an engine compiled that
    /// [`Sandbox`](crate::portable::Sandbox) trusts, an address space of its own for all else.
    ///
    /// Platforms place no image there: a [`Placement`] has one of the other two.
    Sandbox,
}

impl Domain {
    /// The domains that images are placed in.
    pub const ALL: [Domain; 2] = [Domain::Kernel, Domain::User];

    /// The domains that loads may ask for.
    pub const CHOICES: [Domain; 3] = [Domain::Kernel, Domain::User, Domain::Sandbox];

    /// Returns the name in reports and options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Domain::Kernel => "kernel",
            Domain::User => "user",
            Domain::Sandbox => "sandbox",
        }
    }

    /// Returns the domain with the given name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Domain> {
        Domain::CHOICES.into_iter().find(|domain| domain.name() == name)
    }
}

/// The options of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LoadOptions {
    /// The domain that the module runs in.
    pub domain: Domain,
    /// The limits on its budget, whatever its header asks for.
    pub limits: Budget,
    /// The action after a fault.
    pub on_fault: FaultPolicy,
    /// The number of calls of which one is timed; every call is counted.
    pub sample_every: NonZeroU32,
    /// The permissions that it may declare; a module that declares more is refused.
    pub allowed: Allowed,
}

impl LoadOptions {
    /// The default: the kernel domain, the default limits, stop at the first fault, time every call, allow everything.
    pub const DEFAULT: LoadOptions = LoadOptions {
        domain: Domain::Kernel,
        limits: Budget::LIMITS,
        on_fault: FaultPolicy::Stop,
        sample_every: NonZeroU32::MIN,
        allowed: Allowed::ALL,
    };

    /// Returns whether all options have their defaults.
    // A derived comparison compares one field after the other, which takes twice as long.
    #[inline(always)]
    pub(crate) fn are_default(&self) -> bool {
        let LoadOptions { domain, limits, on_fault, sample_every, allowed } = *self;
        // Compares two fields at a time, which halves the comparisons.
        let pairs = |limits: Budget| {
            let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
            [pair(limits.time_us, limits.stack_bytes), pair(limits.heap_bytes, limits.data_bytes)]
        };
        let ([first, second], [default_first, default_second]) = (pairs(limits), pairs(Budget::LIMITS));
        (first == default_first)
            & (second == default_second)
            & (limits.memory_bytes == Budget::LIMITS.memory_bytes)
            & (sample_every == NonZeroU32::MIN)
            & (allowed.services == Permissions::ALL)
            & (domain == Domain::Kernel)
            & matches!(on_fault, FaultPolicy::Stop)
    }
}

/// The options of a load, and what it sets of the module's parameters and imports.
#[derive(Clone, Copy, Debug)]
pub struct LoadSettings<'load> {
    pub(crate) options: &'load LoadOptions,
    /// One [`Assignment`](crate::Assignment) on each line. A thin pointer, so that both fields are passed in registers.
    #[cfg(feature = "parameters")]
    pub(crate) parameters: Option<&'load &'load str>,
}

impl LoadOptions {
    /// Returns the same options with values for parameters and providers for imports: one
    /// [`Assignment`](crate::Assignment) on each line.
    ///
    /// Lines that name other modules are passed over.
    #[cfg(feature = "parameters")]
    #[must_use]
    pub const fn with_parameters<'load>(&'load self, parameters: &'load &'load str) -> LoadSettings<'load> {
        LoadSettings { options: self, parameters: if parameters.is_empty() { None } else { Some(parameters) } }
    }
}

impl<'load> From<&'load LoadOptions> for LoadSettings<'load> {
    #[inline(always)]
    fn from(options: &'load LoadOptions) -> LoadSettings<'load> {
        LoadSettings {
            options,
            #[cfg(feature = "parameters")]
            parameters: None,
        }
    }
}

impl LoadSettings<'_> {
    /// Returns whether there are lines that set parameters.
    #[inline(always)]
    pub(crate) const fn has_parameters(&self) -> bool {
        #[cfg(feature = "parameters")]
        return self.parameters.is_some();
        #[cfg(not(feature = "parameters"))]
        false
    }
}

impl Default for LoadOptions {
    fn default() -> LoadOptions {
        LoadOptions::DEFAULT
    }
}

/// The requirements of an image: its domain, budget and services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The domain that its code runs in, never [`Domain::Sandbox`].
    pub domain: Domain,
    /// The budget of its calls.
    pub budget: Budget,
    /// The services that it declares: `SERVICE_*` bits of [`bareflow_abi::header`].
    ///
    /// A call of any other service is a [`GeneralProtection`](crate::FaultKind::GeneralProtection) fault.
    pub services: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_names() {
        for domain in Domain::CHOICES {
            assert_eq!(Domain::from_name(domain.name()), Some(domain));
        }
    }

    #[test]
    fn every_option_is_told_from_the_default() {
        let default = LoadOptions::default();
        assert!(default.are_default());
        let with = |limits| LoadOptions { limits, ..default };
        let limits = Budget::LIMITS;
        for other in [
            LoadOptions { domain: Domain::User, ..default },
            LoadOptions { domain: Domain::Sandbox, ..default },
            with(Budget { time_us: 1, ..limits }),
            with(Budget { stack_bytes: 1, ..limits }),
            with(Budget { heap_bytes: 1, ..limits }),
            with(Budget { data_bytes: 1, ..limits }),
            with(Budget { memory_bytes: 1, ..limits }),
            LoadOptions { on_fault: FaultPolicy::Restart, ..default },
            LoadOptions { on_fault: FaultPolicy::RestartTimes(0), ..default },
            LoadOptions { on_fault: FaultPolicy::Fallback, ..default },
            LoadOptions { on_fault: FaultPolicy::Backoff(Backoff::DEFAULT), ..default },
            LoadOptions { sample_every: NonZeroU32::MAX, ..default },
            LoadOptions { allowed: Allowed::NONE, ..default },
        ] {
            assert!(!other.are_default(), "{other:?}");
        }
    }
}
