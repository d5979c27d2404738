//! The options of a kernel, as data: a file of its boot archive.

use alloc::vec::Vec;

use bareflow_abi::checksum::crc32c;
use bareflow_loader::{LoadOptions, Timing};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::campaign::Campaign;
use crate::tier::Portable;

/// The work that a kernel was booted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Runs all modules once.
    #[default]
    Run,
    /// Runs all modules once, and records their calls.
    Record,
    /// Stays up and answers clients.
    Serve,
    /// Runs a test of the kernel itself.
    Rig(Rig),
}

/// A test of the kernel itself. The modules that it works with come in the boot archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rig {
    /// One fault after the other, by the names in the input.
    SelfCheck,
    /// Every module loaded and unloaded, and replaced, as many times.
    Soak(u32),
    /// Memory that runs out at every possible point.
    Exhaust,
    /// A part of a fault campaign.
    Inject(Campaign),
    /// Providers that panic.
    Providers,
    /// A run of modules that may import the interface `meter` from the kernel, whose provider is named `kernel`.
    Meter,
    /// The cost of an event: of a module with a timer, and of a task that has nothing to do.
    Events,
    /// The events of many copies of a module for a second: how many are late.
    Crowd(Crowd),
}

/// Many copies of a module that has a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crowd {
    /// The number of copies.
    pub modules: u32,
    /// The interval of each timer, in milliseconds: the module's parameter `interval_ms`.
    pub interval_ms: u32,
}

/// The options of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelOptions {
    /// The work to do.
    pub task: Task,
    /// The method by which the clock is read around calls.
    pub timing: Timing,
    /// The number of runs of every module except the four embedded ones.
    pub repeat: u32,
    /// Whether each module is called many times in a row at the end.
    pub batch: bool,
    /// The options by which modules are loaded.
    pub load: LoadOptions,
    /// The options for portable modules and their engines.
    pub portable: Portable,
    /// Whether the serial console shows colours.
    pub colour: bool,
    /// Whether a clock tick is an instruction. Only the one who starts the machine knows.
    pub icount: bool,
    /// Whether the machine is halted at the end instead of left.
    pub halt: bool,
    /// Whether the clients are on a virtio console instead of COM2.
    pub virtio: bool,
    /// The time for which a run of all modules runs their events after the tests, in microseconds.
    pub events_us: u64,
    /// The token of clients that come by modules, by the interface `channel`. Without one, none are taken.
    pub token: Option<Token>,
}

/// A secret of 128 bits, which a client shows before anything is done for it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token(pub [u8; 16]);

impl Token {
    /// Returns whether it is the same, in a time that does not tell how much of it is.
    #[must_use]
    pub fn is(&self, other: &Token) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// Shows that there is a token, and not which.
impl core::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str("Token(..)")
    }
}

impl Default for KernelOptions {
    fn default() -> KernelOptions {
        KernelOptions {
            task: Task::Run,
            timing: Timing::Precise,
            repeat: 1,
            batch: false,
            load: LoadOptions::DEFAULT,
            portable: Portable::DEFAULT,
            colour: false,
            icount: false,
            halt: false,
            virtio: false,
            events_us: 0,
            token: None,
        }
    }
}

/// Bytes that are not the options of this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "options of {length} bytes with checksum {found:#010x}, expected {expected:#010x}; boot the kernel with the `bareflow` that it was built with"
)]
pub struct BadOptions {
    /// The length of the file, in bytes.
    pub length: usize,
    /// The checksum of what it contains, for this version.
    pub found: u32,
    /// The checksum in the file.
    pub expected: u32,
}

/// The version of the encoding, which rises with every change between releases.
const ENCODING: u8 = 8;

/// Returns the checksum of encoded options, which those of another version do not have.
fn checksum(payload: &[u8]) -> u32 {
    crc32c(&[env!("CARGO_PKG_VERSION").as_bytes(), &[ENCODING], payload])
}

impl KernelOptions {
    /// Encodes the options as a file.
    ///
    /// # Errors
    /// When `timing` is [`Timing::Untimed`], which no option names.
    pub fn to_bytes(&self) -> Result<Vec<u8>, postcard::Error> {
        let payload = postcard::to_allocvec(self)?;
        Ok([&checksum(&payload).to_le_bytes()[..], &payload].concat())
    }

    /// Decodes a file.
    ///
    /// # Errors
    /// [`BadOptions`] if it was damaged, or belongs to another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<KernelOptions, BadOptions> {
        let (head, payload) = bytes.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let bad = BadOptions { length: bytes.len(), found: checksum(payload), expected: u32::from_le_bytes(*head) };
        let options = postcard::from_bytes(payload).map_err(|_| bad)?;
        if bad.found == bad.expected { Ok(options) } else { Err(bad) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tier::Tier;
    use alloc::string::ToString;

    use bareflow_loader::{Allowed, Backoff, Budget, Domain, FaultPolicy};

    fn options() -> KernelOptions {
        let load = LoadOptions {
            domain: Domain::User,
            limits: Budget { time_us: 1, stack_bytes: 2, heap_bytes: 3, data_bytes: 4, memory_bytes: 5 },
            on_fault: FaultPolicy::RestartTimes(3),
            allowed: Allowed::parse("log,interface:files").unwrap(),
            ..LoadOptions::DEFAULT
        };
        let task = Task::Rig(Rig::Inject(Campaign { seed: u64::MAX, first: 3, count: 7, into: Some(1) }));
        KernelOptions {
            task,
            timing: Timing::Fast,
            repeat: 9,
            load,
            portable: Portable { tier: Tier::Quick, calls: Some([3, 4]), engine_domain: Domain::Kernel, guard: false },
            icount: true,
            events_us: 2_000_000,
            token: Some(Token([7; 16])),
            ..KernelOptions::default()
        }
    }

    #[test]
    fn reads_what_it_writes() {
        for options in [options(), KernelOptions::default()] {
            assert_eq!(KernelOptions::from_bytes(&options.to_bytes().unwrap()), Ok(options));
        }
    }

    #[test]
    fn does_not_encode_what_no_option_names() {
        assert!(KernelOptions { timing: Timing::Untimed, ..options() }.to_bytes().is_err());
    }

    /// Encodes every value of the enums, and options in which each field differs from its neighbours at least once.
    #[test]
    fn another_encoding_is_another_version() {
        let campaign = Campaign { seed: u64::MAX, first: 3, count: 7, into: None };
        let rigs = [Rig::SelfCheck, Rig::Soak(1), Rig::Exhaust, Rig::Inject(campaign)];
        let backoff = Backoff { first_ms: 1, longest_ms: 2, restarts: 3, window_ms: 4, falls_back: true };
        let policies = [
            FaultPolicy::Stop,
            FaultPolicy::Restart,
            FaultPolicy::RestartTimes(3),
            FaultPolicy::Backoff(backoff),
            FaultPolicy::Fallback,
        ];
        let enums = (
            ([Task::Run, Task::Record, Task::Serve], rigs.map(Task::Rig)),
            ([Timing::Fast, Timing::Precise], Domain::CHOICES, policies, [Allowed::NONE, Allowed::ALL], Tier::ALL),
        );
        let switches = [0, 1, 2, 3, 4].map(|on| KernelOptions {
            batch: on == 0,
            colour: on == 1,
            icount: on == 2,
            halt: on == 3,
            virtio: on == 4,
            ..options()
        });
        let encoded = crc32c(&[&postcard::to_allocvec(&(enums, switches)).unwrap()]);
        assert_eq!((ENCODING, encoded), (8, 0xf4d7_1794), "raise ENCODING, and name both here: {encoded:#010x}");
    }

    #[test]
    fn rejects_what_was_damaged_or_is_of_another_version() {
        let bytes = options().to_bytes().unwrap();
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(KernelOptions::from_bytes(&damaged).is_err(), "{bit}");
        }
        for length in 0..bytes.len() {
            assert!(KernelOptions::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        let other = [&crc32c(&[&bytes[4..]]).to_le_bytes(), &bytes[4..]].concat();
        let error = KernelOptions::from_bytes(&other).unwrap_err().to_string();
        assert!(error.contains(", expected 0x") && error.contains("; boot the kernel with"), "{error}");
    }
}
