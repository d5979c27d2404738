//! Budgets: limits on a module's time, stack, heap, data and linear memory.

use bareflow_abi::header::Header;
use bareflow_abi::memory::MEMORY_PAGE_SIZE;

/// The resources of a module and its calls, or limits on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(C)]
pub struct Budget {
    /// The time of one call, in microseconds.
    pub time_us: u32,
    /// The stack of one call: whole pages, see [`Budget::of`].
    #[cfg_attr(feature = "serde", serde(rename = "stack"))]
    pub stack_bytes: u32,
    /// The heap of the module: whole pages.
    #[cfg_attr(feature = "serde", serde(rename = "heap"))]
    pub heap_bytes: u32,
    /// The data and bss of the module. They can't be cut, so a blob that has more than its limit is refused.
    #[cfg_attr(feature = "serde", serde(rename = "data", default))]
    pub data_bytes: u32,
    /// The linear memory that the module may have, whole pages of it; 0 for a module without one.
    #[cfg_attr(feature = "serde", serde(rename = "memory", default))]
    pub memory_bytes: u32,
}

/// The unit that stack and heap are rounded up to, in bytes.
const GRAIN: u32 = 4096;

/// The smallest stack, in bytes: it has room for the entry's own frames and a panic.
const LEAST_STACK: u32 = 2 * GRAIN;

impl Budget {
    /// The budget of a module whose header asks for nothing.
    pub const DEFAULT: Budget = Budget {
        time_us: 1_000_000,
        stack_bytes: 64 << 10,
        heap_bytes: 0,
        data_bytes: Budget::LIMITS.data_bytes,
        memory_bytes: 0,
    };

    /// The limits that hold unless the embedder sets others.
    pub const LIMITS: Budget = Budget {
        time_us: 60_000_000,
        stack_bytes: 1 << 20,
        heap_bytes: 16 << 20,
        data_bytes: 64 << 20,
        memory_bytes: 64 << 20,
    };

    /// Returns a module's budget: what its header asks for, or the default, within `limits`.
    ///
    /// `data` is the limit itself, and there is no linear memory.
    #[must_use]
    pub fn of(header: &Header, limits: &Budget) -> Budget {
        let wish = |wanted: u32, default: u32, limit: u32| if wanted == 0 { default } else { wanted }.min(limit);
        let pages = |bytes: u32| bytes.saturating_add(GRAIN - 1) & !(GRAIN - 1);
        Budget {
            time_us: wish(header.time_us, Budget::DEFAULT.time_us, limits.time_us).max(1),
            stack_bytes: pages(wish(header.stack_size, Budget::DEFAULT.stack_bytes, limits.stack_bytes))
                .max(LEAST_STACK),
            heap_bytes: pages(wish(header.heap_size, Budget::DEFAULT.heap_bytes, limits.heap_bytes)),
            data_bytes: limits.data_bytes,
            memory_bytes: 0,
        }
    }

    /// Returns the largest number of pages of linear memory.
    #[must_use]
    pub const fn memory_pages(&self) -> u32 {
        self.memory_bytes / MEMORY_PAGE_SIZE as u32
    }

    /// Returns the smaller of these limits and those in `bounds`, one by one.
    #[must_use]
    pub fn within(self, bounds: &Budget) -> Budget {
        Budget {
            time_us: self.time_us.min(bounds.time_us),
            stack_bytes: self.stack_bytes.min(bounds.stack_bytes),
            heap_bytes: self.heap_bytes.min(bounds.heap_bytes),
            data_bytes: self.data_bytes.min(bounds.data_bytes),
            memory_bytes: self.memory_bytes.min(bounds.memory_bytes),
        }
    }

    /// Returns these limits with those changed that `text` names, as in `time=10ms,stack=16K,heap=1M,data=1M,memory=64M`.
    ///
    /// `text` names any of the five. Time is in `us`, `ms` or `s`, sizes in bytes, `K` or `M`.
    ///
    /// # Errors
    /// The part that can't be understood.
    pub fn parse(self, text: &str) -> Result<Budget, BadBudget<'_>> {
        let mut budget = self;
        for part in text.split(',') {
            let bad = BadBudget { part };
            let (key, value) = part.split_once('=').ok_or(bad)?;
            let (target, units): (_, &[(&str, u32)]) = match key {
                "time" => (&mut budget.time_us, &[("us", 1), ("ms", 1_000), ("s", 1_000_000)]),
                "stack" => (&mut budget.stack_bytes, &SIZES),
                "heap" => (&mut budget.heap_bytes, &SIZES),
                "data" => (&mut budget.data_bytes, &SIZES),
                "memory" => (&mut budget.memory_bytes, &SIZES),
                _ => return Err(bad),
            };
            let digits = value.trim_end_matches(|last: char| !last.is_ascii_digit());
            let (_, factor) = units.iter().find(|(unit, _)| *unit == &value[digits.len()..]).ok_or(bad)?;
            *target = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(*factor)).ok_or(bad)?;
        }
        Ok(budget)
    }
}

const SIZES: [(&str, u32); 3] = [("", 1), ("K", 1 << 10), ("M", 1 << 20)];

/// A part of a budget that can't be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{part}\" is no budget, expected time=10ms, stack=16K, heap=1M, data=1M or memory=64M, joined by commas")]
pub struct BadBudget<'text> {
    /// The part.
    pub part: &'text str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn takes_the_header_within_the_limits() {
        let limits = Budget { time_us: 500, stack_bytes: 20_000, heap_bytes: 10_000, data_bytes: 9, memory_bytes: 8 };
        let silent = Budget::of(&Header::default(), &Budget::LIMITS);
        assert_eq!(silent, Budget::DEFAULT);
        let greedy = Header { time_us: 1000, stack_size: u32::MAX, heap_size: u32::MAX, ..Header::default() };
        assert_eq!(
            Budget::of(&greedy, &limits),
            Budget { time_us: 500, stack_bytes: 20_480, heap_bytes: 12_288, data_bytes: 9, memory_bytes: 0 }
        );
        let modest = Header { time_us: 7, stack_size: 1, heap_size: 1, ..Header::default() };
        assert_eq!(
            Budget::of(&modest, &limits),
            Budget { time_us: 7, stack_bytes: 8192, heap_bytes: 4096, data_bytes: 9, memory_bytes: 0 }
        );
        let most = u32::MAX;
        let all = Budget { time_us: most, stack_bytes: most, heap_bytes: most, data_bytes: most, memory_bytes: most };
        assert_eq!(Budget::of(&greedy, &all).heap_bytes, !4095);
    }

    #[test]
    fn reads_what_people_write() {
        let read = |text| Budget::LIMITS.parse(text);
        let all = Budget {
            time_us: 10_000,
            stack_bytes: 16 << 10,
            heap_bytes: 1 << 20,
            data_bytes: 3 << 10,
            memory_bytes: 130 << 10,
        };
        assert_eq!(read("time=10ms,stack=16K,heap=1M,data=3K,memory=130K"), Ok(all));
        assert_eq!(all.memory_pages(), 2);
        assert_eq!(read("time=2s").map(|budget| budget.time_us), Ok(2_000_000));
        assert_eq!(read("stack=0,time=5us"), Ok(Budget { time_us: 5, stack_bytes: 0, ..Budget::LIMITS }));
    }

    #[test]
    fn rejects_what_is_no_budget() {
        for text in [
            "",
            "time",
            "time=",
            "time=10",
            "time=ms",
            "time=-1ms",
            "heap=1G",
            "speed=1",
            "heap=5M,",
            "time=5000s",
            "stack=16Kü",
            "heap=1 M",
        ] {
            let error = Budget::LIMITS.parse(text).unwrap_err();
            assert!(error.to_string().contains("is no budget"), "{text}");
        }
    }
}
