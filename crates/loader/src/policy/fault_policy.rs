//! The action after a fault.

use core::fmt;

/// The action after a module's fault.
// With a tag of its own, which is compared at each load.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum FaultPolicy {
    /// Stops the module: further calls are refused.
    #[default]
    Stop,
    /// Gives the module a fresh image, made from its blob, after every fault.
    Restart,
    /// Restarts the module the given number of times, then stops it.
    RestartTimes(u32),
    /// Restarts the module after a delay, as long as it faults seldom.
    Backoff(Backoff),
    /// Returns to the version that the module replaced, or stops it if there is none.
    Fallback,
}

/// Delayed restarts, of which there are only so many within a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Backoff {
    /// The delay of the first restart, in milliseconds. Each further one is twice as long.
    pub first_ms: u32,
    /// The longest delay, in milliseconds.
    pub longest_ms: u32,
    /// The most restarts within the window. One more fault stops the module.
    pub restarts: u8,
    /// The window, in milliseconds. After as long without a fault, the delay is that of the first restart again.
    pub window_ms: u32,
    /// Whether the version that the module replaced takes its place then, if there is one.
    pub falls_back: bool,
}

impl Backoff {
    /// The delays that hold unless others are named: 10 ms to 10 s, and 5 restarts within 60 s.
    pub const DEFAULT: Backoff =
        Backoff { first_ms: 10, longest_ms: 10_000, restarts: 5, window_ms: 60_000, falls_back: false };

    /// Reads `10ms..10s,5/60s,fallback`, of which any part may be missing.
    fn parse(text: &str) -> Option<Backoff> {
        let mut backoff = Backoff::DEFAULT;
        for part in text.split(',') {
            if part == "fallback" {
                backoff.falls_back = true;
            } else if let Some((first, longest)) = part.split_once("..") {
                (backoff.first_ms, backoff.longest_ms) = (milliseconds(first)?, milliseconds(longest)?);
            } else {
                let (restarts, window) = part.split_once('/')?;
                (backoff.restarts, backoff.window_ms) = (restarts.parse().ok()?, milliseconds(window)?);
            }
        }
        (backoff.restarts > 0 && backoff.first_ms <= backoff.longest_ms).then_some(backoff)
    }
}

impl FaultPolicy {
    /// The words that [`parse`](Self::parse) reads, for messages.
    pub const EXPECTED: &str =
        "stop, restart, restart:N, fallback, backoff or backoff:10ms..10s,5/60s,fallback with any of the three parts";

    /// Reads `stop`, `restart`, `restart:3`, `fallback`, `backoff` or `backoff:10ms..10s,5/60s,fallback`.
    #[must_use]
    pub fn parse(text: &str) -> Option<FaultPolicy> {
        match text.split_once(':') {
            None => match text {
                "stop" => Some(FaultPolicy::Stop),
                "restart" => Some(FaultPolicy::Restart),
                "backoff" => Some(FaultPolicy::Backoff(Backoff::DEFAULT)),
                "fallback" => Some(FaultPolicy::Fallback),
                _ => None,
            },
            Some(("restart", times)) => times.parse().ok().map(FaultPolicy::RestartTimes),
            Some(("backoff", parts)) => Backoff::parse(parts).map(FaultPolicy::Backoff),
            Some(_) => None,
        }
    }

    /// Returns whether a module that has been restarted `restarts` times is restarted again, at once.
    pub(crate) const fn restarts(self, restarts: u32) -> bool {
        match self {
            FaultPolicy::Restart => true,
            FaultPolicy::RestartTimes(times) => restarts < times,
            FaultPolicy::Stop | FaultPolicy::Backoff(_) | FaultPolicy::Fallback => false,
        }
    }

    /// Returns whether the module may have to wait for its restart, so that a clock is needed.
    #[cfg(feature = "supervision")]
    pub(crate) const fn is_delayed(self) -> bool {
        matches!(self, FaultPolicy::Backoff(_) | FaultPolicy::Fallback)
    }

    /// Returns whether the version that the module replaced may take its place again.
    #[must_use]
    pub const fn falls_back(self) -> bool {
        matches!(self, FaultPolicy::Fallback | FaultPolicy::Backoff(Backoff { falls_back: true, .. }))
    }
}

impl fmt::Display for FaultPolicy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultPolicy::Stop => out.write_str("stop"),
            FaultPolicy::Restart => out.write_str("restart"),
            FaultPolicy::RestartTimes(times) => write!(out, "restart:{times}"),
            FaultPolicy::Fallback => out.write_str("fallback"),
            FaultPolicy::Backoff(Backoff { first_ms, longest_ms, restarts, window_ms, falls_back }) => {
                let [first, longest, window] = [*first_ms, *longest_ms, *window_ms].map(Duration);
                let fallback = if *falls_back { ",fallback" } else { "" };
                write!(out, "backoff:{first}..{longest},{restarts}/{window}{fallback}")
            }
        }
    }
}

/// Reads a duration of at least a millisecond, such as `10ms` or `10s`.
fn milliseconds(text: &str) -> Option<u32> {
    let digits = text.trim_end_matches(|last: char| !last.is_ascii_digit());
    let number: u32 = digits.parse().ok()?;
    let milliseconds = match text.get(digits.len()..)? {
        "ms" => number,
        "s" => number.checked_mul(1000)?,
        _ => return None,
    };
    (milliseconds > 0).then_some(milliseconds)
}

/// A duration in milliseconds, shown in the largest unit that it is a multiple of.
struct Duration(u32);

impl fmt::Display for Duration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1000 {
            0 => write!(out, "{}s", self.0 / 1000),
            _ => write!(out, "{}ms", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn reads_its_own_names() {
        let backoff = Backoff { first_ms: 1, longest_ms: 2_000, restarts: 255, window_ms: 1500, falls_back: true };
        for policy in [
            FaultPolicy::Stop,
            FaultPolicy::Restart,
            FaultPolicy::RestartTimes(3),
            FaultPolicy::Fallback,
            FaultPolicy::Backoff(Backoff::DEFAULT),
            FaultPolicy::Backoff(backoff),
        ] {
            assert_eq!(FaultPolicy::parse(&policy.to_string()), Some(policy));
        }
        let read = |text| FaultPolicy::parse(text).unwrap().to_string();
        assert_eq!(read("backoff"), "backoff:10ms..10s,5/60s");
        assert_eq!(read("backoff:fallback"), "backoff:10ms..10s,5/60s,fallback");
        assert_eq!(read("backoff:1/1s"), "backoff:10ms..10s,1/1s");
        assert_eq!(read("backoff:20ms..1000ms"), "backoff:20ms..1s,5/60s");
    }

    #[test]
    fn rejects_other_words() {
        for text in [
            "",
            "Stop",
            "restart:",
            "restart:-1",
            "stop:1",
            "restart:99999999999",
            "fallback:1",
            "backoff:",
            "backoff:10ms",
            "backoff:10ms..",
            "backoff:10..20",
            "backoff:0ms..1s",
            "backoff:2s..1s",
            "backoff:0/1s",
            "backoff:256/1s",
            "backoff:1/0s",
            "backoff:1/1h",
            "backoff:1/5000000s",
            "backoff:1/1s,",
            "backoff:falls",
        ] {
            assert_eq!(FaultPolicy::parse(text), None, "{text}");
        }
    }

    #[test]
    fn counts_restarts() {
        assert!(FaultPolicy::RestartTimes(2).restarts(1) && !FaultPolicy::RestartTimes(2).restarts(2));
        assert!(FaultPolicy::Restart.restarts(u32::MAX) && !FaultPolicy::Stop.restarts(0));
    }
}
