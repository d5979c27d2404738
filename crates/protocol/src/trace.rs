//! The trace of a running kernel: entries with the time of each, as clients read them.

use alloc::borrow::Cow;

use bareflow_loader::Occurrence;
use serde::{Deserialize, Serialize};

/// The maximum number of entries in one answer.
pub const MAX_ENTRIES: usize = 1024;

/// The size of the start of a text in an entry, in bytes: that of a module's name.
pub const START_SIZE: usize = 32;

/// The start of a text that may be longer, padded with zeros.
pub type Start = [u8; START_SIZE];

/// Returns the start of a text.
#[must_use]
pub fn start_of(text: &[u8]) -> Start {
    let mut start = [0; START_SIZE];
    start.iter_mut().zip(text).for_each(|(target, byte)| *target = *byte);
    start
}

/// A request of a client that traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TraceRequest {
    /// Begin a trace, and discard one that has ended. Response: [`Response::Trace`](crate::Response::Trace).
    Begin,
    /// Read the entries of a processor, of which the client's trace has or will have more.
    /// Response: [`Response::TraceEntries`](crate::Response::TraceEntries).
    Read {
        /// The processor's number.
        processor: u32,
        /// The number of the first entry, counted from 0: at most that of those so far.
        from: u64,
    },
    /// End the client's trace, whose entries can be read until the client leaves.
    /// Response: [`Response::Trace`](crate::Response::Trace).
    End,
}

/// The kernel at the beginning or the end of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceState {
    /// The number of processors.
    pub processors: u32,
    /// The clock: `tsc`, or `icount` if a tick is an instruction.
    pub clock: Cow<'static, str>,
    /// The time by that clock, in ticks.
    pub ticks: u64,
    /// The time since some point in the past, in milliseconds.
    pub milliseconds: u64,
}

/// An entry of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The time by the kernel's clock, in ticks.
    pub ticks: u64,
    /// The event.
    pub event: Event,
}

/// An event of a trace. Calls nest: what a module calls begins after it and ends before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A call began.
    BeginCall {
        /// The module's name.
        module: Start,
        /// The reason, as its entry gets it: the number of a [`Reason`](bareflow_abi::Reason), or a function's.
        reason: u32,
    },
    /// The innermost running call ended.
    EndCall(CallEnd),
    /// The running call called a method of an import.
    BeginInvoke {
        /// The import's number.
        import: u32,
        /// The method's number in the interface, as the module knows it.
        method: u32,
    },
    /// The innermost running method of an import ended.
    EndInvoke {
        /// The number of a [`Status`](bareflow_abi::interface::Status).
        status: u64,
    },
    /// The running call logged a line.
    Log {
        /// The length of the line, in bytes.
        length: u32,
        /// The line's start.
        start: Start,
    },
    /// The running call read the clock.
    Clock,
    /// The running call got the answer of a module that it called.
    Call {
        /// The start of the name that it passed.
        name: Start,
        /// The status: 0, or the number of a [`CallRefusal`](bareflow_abi::CallRefusal).
        status: u32,
        /// The result of the callee.
        result: i32,
    },
    /// Something happened to a module.
    Module {
        /// The module's name.
        name: Start,
        /// The occurrence.
        occurrence: Occurrence,
    },
}

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallEnd {
    /// The call returned this result; of a method, the number of its status.
    Returned(i32),
    /// The call faulted.
    Faulted {
        /// The fault's kind.
        kind: Start,
        /// The offset of the faulting instruction from the image's base, in bytes.
        offset: Option<u64>,
    },
    /// There was no memory for the call.
    NoMemory,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event() -> impl Strategy<Value = Event> {
        let start = || any::<Start>();
        let version = any::<[u32; 3]>();
        let occurrence = prop_oneof![
            (version, any::<u32>()).prop_map(|(version, generation)| Occurrence::Loaded { version, generation }),
            any::<u64>().prop_map(Occurrence::Due),
            Just(Occurrence::Stopped),
        ];
        let end = prop_oneof![
            any::<i32>().prop_map(CallEnd::Returned),
            (start(), any::<Option<u64>>()).prop_map(|(kind, offset)| CallEnd::Faulted { kind, offset }),
            Just(CallEnd::NoMemory),
        ];
        prop_oneof![
            (start(), any::<u32>()).prop_map(|(module, reason)| Event::BeginCall { module, reason }),
            end.prop_map(Event::EndCall),
            any::<[u32; 2]>().prop_map(|[import, method]| Event::BeginInvoke { import, method }),
            any::<u64>().prop_map(|status| Event::EndInvoke { status }),
            (any::<u32>(), start()).prop_map(|(length, start)| Event::Log { length, start }),
            Just(Event::Clock),
            (start(), any::<u32>(), any::<i32>()).prop_map(|(name, status, result)| Event::Call {
                name,
                status,
                result
            }),
            (start(), occurrence).prop_map(|(name, occurrence)| Event::Module { name, occurrence }),
        ]
    }

    proptest! {
        #[test]
        fn reads_what_it_writes(ticks in any::<u64>(), event in event()) {
            let entry = Entry { ticks, event };
            let bytes = postcard::to_allocvec(&entry).unwrap();
            // So that an answer of `MAX_ENTRIES` stays below 64 KiB.
            prop_assert!(bytes.len() <= 64, "{} bytes", bytes.len());
            prop_assert_eq!(postcard::from_bytes::<Entry>(&bytes), Ok(entry));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = postcard::from_bytes::<Entry>(&bytes);
        }
    }

    #[test]
    fn an_entry_takes_one_line_of_the_cache() {
        assert_eq!(size_of::<Entry>(), 64);
    }

    #[test]
    fn keeps_the_start_of_a_text() {
        assert_eq!(start_of(b"abc")[..5], *b"abc\0\0");
        assert_eq!(start_of(&[7; 99]), [7; START_SIZE]);
    }
}
