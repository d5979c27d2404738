//! The values of the interface: rows, and what is in them.

use bareflow_abi::Plain;

/// The longest name of a module, in bytes, and one more, which is 0.
pub const NAME_BYTES: usize = 32;

/// The figures of all modules together.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Plain)]
pub struct Overview {
    /// The time by the embedder's clock, in microseconds: a kernel's counts from its start. 0 if it has none.
    pub now_us: u64,
    /// The reading of the clock that cycles are counted by, at the same time. Two overviews tell its frequency.
    pub now_cycles: u64,
    /// The memory in use, in bytes: of the modules, of the loader's tables, and of a kernel itself. 0 if it is not counted.
    pub memory_bytes: u64,
    /// The number of modules.
    pub modules: u32,
    /// 0.
    pub zero: u32,
}

/// A module, with its figures.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Plain)]
pub struct ModuleRow {
    /// The name, followed by zeros.
    pub name: [u8; NAME_BYTES],
    /// The version: major, minor, patch.
    pub version: [u32; 3],
    /// The number of times this name has been loaded, this load included.
    pub generation: u32,
    /// The memory that it uses in bytes: segments, stack, heap, page tables.
    pub memory_bytes: u64,
    /// The number of calls of its `run`.
    pub call_count: u64,
    /// The number of calls of its functions: methods of interfaces, handlers of events, and others.
    pub function_calls: u64,
    /// The number of calls of its `run` that were timed. The next two are known if it is not 0.
    pub timed_calls: u64,
    /// The median of these calls, within 1/32, in cycles.
    pub p50_cycles: u64,
    /// The value that 99 of 100 of these calls do not exceed, within 1/32, in cycles.
    pub p99_cycles: u64,
    /// The time until it starts again, in microseconds, if it [waits](State::Waiting).
    pub starts_in_us: u64,
    /// The number of faults, those of its functions included.
    pub faults: u32,
    /// The number of restarts.
    pub restarts: u32,
    /// The state; see [`State::of`].
    pub state: u8,
    /// The domain; see [`Domain::of`].
    pub domain: u8,
    /// The tier of a portable module, 0 to 2, or [`NATIVE`](ModuleRow::NATIVE).
    pub tier: u8,
    /// 1 if it is the active version of its name, 0 if not: others may be loaded beside it.
    pub is_active: u8,
    /// 0.
    pub zero: u32,
}

impl ModuleRow {
    /// The tier of a module that no engine made.
    pub const NATIVE: u8 = 255;

    /// Returns the name; empty if it is not UTF-8, as no name that the loader writes.
    #[must_use]
    pub fn name(&self) -> &str {
        let name = self.name.split(|&byte| byte == 0).next().unwrap_or_default();
        core::str::from_utf8(name).unwrap_or_default()
    }
}

/// The state of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Ready to be called, or a call is under way.
    Loaded = 0,
    /// A fault stopped it, and it starts again when a delay has passed.
    Waiting = 1,
    /// A fault stopped it.
    Faulted = 2,
    /// Replaced: its last calls are running.
    Retired = 3,
}

impl State {
    /// Returns the state with this number.
    #[must_use]
    pub fn of(number: u8) -> Option<State> {
        [State::Loaded, State::Waiting, State::Faulted, State::Retired].get(usize::from(number)).copied()
    }

    /// Returns the word for it in reports. One that waits has faulted.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            State::Loaded => "loaded",
            State::Waiting | State::Faulted => "faulted",
            State::Retired => "retired",
        }
    }
}

/// The domain that a module runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// The embedder's own privileges: in a kernel, ring 0.
    Kernel = 0,
    /// An address space of its own, without privileges: in a kernel, ring 3.
    User = 1,
    /// The embedder's own privileges, for code that can't reach anything else.
    Sandbox = 2,
}

impl Domain {
    /// Returns the domain with this number.
    #[must_use]
    pub fn of(number: u8) -> Option<Domain> {
        [Domain::Kernel, Domain::User, Domain::Sandbox].get(usize::from(number)).copied()
    }

    /// Returns its name in options and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Domain::Kernel => "kernel",
            Domain::User => "user",
            Domain::Sandbox => "sandbox",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_belong_together() {
        for state in [State::Loaded, State::Waiting, State::Faulted, State::Retired] {
            assert_eq!(State::of(state as u8), Some(state));
        }
        for domain in [Domain::Kernel, Domain::User, Domain::Sandbox] {
            assert_eq!(Domain::of(domain as u8), Some(domain));
        }
        assert_eq!((State::of(4), Domain::of(3)), (None, None));
    }

    #[test]
    fn a_name_ends_at_its_first_zero() {
        let mut row = ModuleRow::default();
        assert_eq!(row.name(), "");
        row.name[..3].copy_from_slice(b"sum");
        row.name[4] = b'x';
        assert_eq!(row.name(), "sum");
        row.name = [b'n'; NAME_BYTES];
        assert_eq!(row.name().len(), NAME_BYTES);
        row.name[1] = 0xff;
        assert_eq!(row.name(), "");
    }
}
