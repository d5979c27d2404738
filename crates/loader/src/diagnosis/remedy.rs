//! The remedy for a fault: the line in the module's `Cargo.toml` that would have prevented it.

use core::fmt;

use bareflow_abi::header::{SERVICE_CALL, SERVICE_NAMES};

use super::Diagnosis;
use crate::fault::{Fault, FaultKind};
use crate::policy::EventLimits;
use crate::policy::budget::Budget;
use crate::printable::Printable;
use crate::profile::ModuleProfile;

/// The table in a module's `Cargo.toml`.
const TABLE: &str = "[package.metadata.bareflow]";

/// A change of the module's `Cargo.toml` that prevents a fault, shown as a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The module allocates, but has no heap.
    NoHeap,
    /// The heap is too small.
    Heap {
        /// The size of the failed allocation in bytes, if known.
        asked: Option<u64>,
        /// The size of the heap, in bytes.
        size: u32,
    },
    /// The stack is too small.
    Stack {
        /// The size of the stack, in bytes.
        size: u32,
    },
    /// The time budget is too short.
    Time {
        /// The longest a call may take, in microseconds.
        us: u32,
    },
    /// The module called a service that it does not declare.
    Undeclared {
        /// The service's `SERVICE_*` bit.
        service: u32,
        /// The bits of the services that it declares.
        declared: u32,
    },
}

impl Remedy {
    /// Returns the remedy for `fault`, for a module with this `budget` that declares the services `declared`.
    ///
    /// There is none for what no line can prevent, such as a trap of WebAssembly, which is an error of the program.
    #[must_use]
    pub fn of(fault: &Fault, diagnosis: Option<&Diagnosis>, budget: &Budget, declared: u32) -> Option<Remedy> {
        match fault.kind {
            FaultKind::HeapBudget if budget.heap_bytes == 0 => Some(Remedy::NoHeap),
            FaultKind::HeapBudget => {
                Some(Remedy::Heap { asked: diagnosis.and_then(|found| found.heap_request), size: budget.heap_bytes })
            }
            FaultKind::StackOverflow => Some(Remedy::Stack { size: budget.stack_bytes }),
            FaultKind::TimeBudget => Some(Remedy::Time { us: budget.time_us }),
            FaultKind::GeneralProtection => {
                let service = diagnosis?.services.calls().last()?.service;
                (declared & service == 0).then_some(Remedy::Undeclared { service, declared })
            }
            _ => None,
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Remedy::NoHeap => write!(out, "it allocates and declares no heap: set heap = \"64K\" in {TABLE}"),
            Remedy::Heap { asked, size } => {
                if let Some(asked) = asked {
                    write!(out, "it asked for {asked} bytes more, ")?;
                }
                let least = asked.unwrap_or(0).saturating_add(size.into());
                write!(out, "its heap has {}: ", Size(size.into()))?;
                enlarge(out, "heap", size, least, Budget::LIMITS.heap_bytes)
            }
            Remedy::Stack { size } => {
                write!(out, "its stack has {}: ", Size(size.into()))?;
                enlarge(out, "stack", size, size.into(), Budget::LIMITS.stack_bytes)
            }
            Remedy::Time { us } => {
                write!(out, "a call may take {}", Time(us))?;
                // The platform does not say which of the two it was.
                let own_us = EventLimits::DEFAULT.own_us;
                if us > own_us {
                    write!(out, ", and a handler of events {} of its own, whatever is set", Time(own_us))?;
                }
                out.write_str(": ")?;
                let (next, limit) = (us.saturating_mul(2), Budget::LIMITS.time_us);
                match next <= limit {
                    true => write!(out, "set time = \"{}\" in {TABLE} if a call needs longer", Time(next)),
                    false => write!(out, "more than {} takes `--budget time=..` as well", Time(limit)),
                }
            }
            Remedy::Undeclared { service: SERVICE_CALL, .. } => {
                write!(
                    out,
                    "it called another module and declares none: set depends = {{ NAME = \"VERSION\" }} in {TABLE}"
                )
            }
            Remedy::Undeclared { service, declared } => {
                let name = |bit: u32| {
                    SERVICE_NAMES.iter().find(|(known, _)| *known == bit).map_or("unknown", |(_, name)| name)
                };
                write!(out, "it called {} and does not declare it: set needs = [", name(service))?;
                let mut separator = "";
                for (bit, name) in SERVICE_NAMES {
                    if bit != SERVICE_CALL && (declared | service) & bit != 0 {
                        write!(out, "{separator}\"{name}\"")?;
                        separator = ", ";
                    }
                }
                write!(out, "] in {TABLE}")
            }
        }
    }
}

/// Suggests the next power of two above `size` that is at least `least`, or an option if that exceeds `limit`.
fn enlarge(out: &mut fmt::Formatter<'_>, key: &str, size: u32, least: u64, limit: u32) -> fmt::Result {
    let next = u64::from(size).saturating_mul(2).max(least).checked_next_power_of_two().unwrap_or(u64::MAX);
    if next <= limit.into() {
        return write!(out, "set {key} = \"{}\" in {TABLE} if it needs more", Size(next));
    }
    write!(out, "more than {} takes `--budget {key}=..` as well", Size(limit.into()))
}

/// A size in bytes, in the notation of `Cargo.toml`.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes > 0 && bytes % (1 << 20) == 0 => write!(out, "{}M", bytes >> 20),
            bytes if bytes > 0 && bytes % (1 << 10) == 0 => write!(out, "{}K", bytes >> 10),
            bytes => write!(out, "{bytes}"),
        }
    }
}

/// A time in microseconds, in the notation of `Cargo.toml`.
struct Time(u32);

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us if us > 0 && us % 1_000_000 == 0 => write!(out, "{}s", us / 1_000_000),
            us if us > 0 && us % 1_000 == 0 => write!(out, "{}ms", us / 1_000),
            us => write!(out, "{us}us"),
        }
    }
}

/// A fault, its diagnosis and its remedy on one line.
#[derive(Clone, Copy, Debug)]
pub struct Explained<'fault> {
    /// The fault.
    pub fault: &'fault Fault,
    /// The diagnosis, if there is one.
    pub diagnosis: Option<&'fault Diagnosis>,
    /// The remedy, if there is one.
    pub remedy: Option<Remedy>,
}

impl ModuleProfile {
    /// Returns a fault of the module with its diagnosis and its remedy, to be shown on one line.
    #[must_use]
    pub fn explain<'fault>(&self, fault: &'fault Fault, diagnosis: Option<&'fault Diagnosis>) -> Explained<'fault> {
        Explained { fault, diagnosis, remedy: Remedy::of(fault, diagnosis, &self.budget, self.services) }
    }
}

impl fmt::Display for Explained<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(out)?;
        if let Some(function) = self.diagnosis.and_then(|found| found.function) {
            write!(out, " in {function}")?;
        }
        if let Some(panic) = self.diagnosis.and_then(|found| found.panic.as_ref()) {
            write!(out, ": {} ({}:{})", panic.message, Printable(panic.file.bytes()), panic.line)?;
        }
        match self.remedy {
            Some(remedy) => write!(out, "; {remedy}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::{ServiceCall, ServiceLog};
    use bareflow_abi::header::{SERVICE_CLOCK, SERVICE_LOG};
    use std::string::ToString;

    fn said(kind: FaultKind, diagnosis: Option<&Diagnosis>, budget: Budget) -> Option<std::string::String> {
        let fault = Fault { kind, offset: None, address: None };
        Remedy::of(&fault, diagnosis, &budget, SERVICE_LOG).map(|remedy| remedy.to_string())
    }

    #[test]
    fn names_the_line_that_gives_a_module_more() {
        let say = |kind, budget| said(kind, None, budget).unwrap();
        let usual = Budget::DEFAULT;
        assert_eq!(
            say(FaultKind::HeapBudget, usual),
            "it allocates and declares no heap: set heap = \"64K\" in [package.metadata.bareflow]"
        );
        assert_eq!(
            say(FaultKind::StackOverflow, usual),
            "its stack has 64K: set stack = \"128K\" in [package.metadata.bareflow] if it needs more"
        );
        assert_eq!(
            say(FaultKind::TimeBudget, Budget { time_us: 1_500, ..usual }),
            "a call may take 1500us: set time = \"3ms\" in [package.metadata.bareflow] if a call needs longer"
        );
        let most = Budget::LIMITS;
        for (kind, end) in [
            (FaultKind::HeapBudget, "its heap has 16M: more than 16M takes `--budget heap=..` as well"),
            (FaultKind::StackOverflow, "its stack has 1M: more than 1M takes `--budget stack=..` as well"),
            (
                FaultKind::TimeBudget,
                "a call may take 60s, and a handler of events 5ms of its own, whatever is set: more than 60s takes `--budget time=..` as well",
            ),
        ] {
            assert_eq!(say(kind, most), end);
        }
        for kind in [FaultKind::Divide, FaultKind::WasmUnreachable, FaultKind::WasmOutOfBoundsMemoryAccess] {
            assert_eq!(said(kind, None, usual), None);
        }
    }

    #[test]
    fn gives_a_heap_room_for_what_was_asked_for() {
        let diagnosis = Diagnosis { heap_request: Some(300_000), ..Diagnosis::at(0) };
        let found =
            said(FaultKind::HeapBudget, Some(&diagnosis), Budget { heap_bytes: 4096, ..Budget::DEFAULT }).unwrap();
        assert_eq!(
            found,
            "it asked for 300000 bytes more, its heap has 4K: set heap = \"512K\" in [package.metadata.bareflow] if it needs more"
        );
    }

    #[test]
    fn names_services_that_are_not_declared() {
        let called = |service| {
            let mut services = ServiceLog::EMPTY;
            services.push(ServiceCall { service, arguments: [0; 2] });
            said(FaultKind::GeneralProtection, Some(&Diagnosis { services, ..Diagnosis::at(0) }), Budget::DEFAULT)
        };
        assert_eq!(
            called(SERVICE_CLOCK).unwrap(),
            "it called clock and does not declare it: set needs = [\"log\", \"clock\"] in [package.metadata.bareflow]"
        );
        assert!(called(SERVICE_CALL).unwrap().contains("set depends = { NAME = \"VERSION\" } in [package"));
        assert_eq!(called(SERVICE_LOG), None);
    }
}
