//! The result of a run. Its JSON form is a contract: fields may be added, never
//! renamed.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

/// The version of the JSON form.
pub const SCHEMA: u32 = 1;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// What the run ran on.
    pub environment: Environment,
    /// The tests, in order.
    pub tests: Vec<Test>,
    /// What was not loaded.
    pub refused: Vec<Refusal>,
    /// What was loaded, in order.
    pub modules: Vec<Module>,
    /// Number of loaded modules.
    pub total_modules: u64,
    /// Calls of all modules.
    pub total_calls: u64,
    /// Whether all went well.
    pub passed: bool,
}

/// What a run ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// `kernel` or `host`.
    #[serde(rename = "where")]
    pub place: String,
    /// `tsc`, or `icount` where a tick is an instruction.
    pub clock: String,
    /// `precise` or `fast`.
    pub timing: String,
    /// What reading the clock twice costs: part of every raw figure.
    pub call_overhead_cycles: u64,
    /// The processor's name.
    pub cpu: String,
    /// What a call costs in each domain there is.
    pub domains: Vec<DomainCost>,
    /// Clock ticks from the kernel's first instruction to the first call of the run; nothing in a process.
    pub first_call_cycles: Option<u64>,
    /// The clock's step, in cycles: what takes less is not resolved by a single call.
    pub clock_step_cycles: u64,
    /// Whether the clock ticks at the same rate at all times.
    pub clock_invariant: bool,
    /// The clock's ticks in a second, where the processor says so.
    pub clock_hertz: Option<u64>,
    /// Clock ticks it takes to load the module `sum`, call it once and unload it: a median.
    pub load_cycles: Option<u64>,
}

/// What one of many calls in a row takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Calls in a row.
    pub calls: u32,
    /// Cycles of one of them, less those of a call of a module that does nothing.
    pub cycles: f64,
    /// What the clock's step makes of one call, in cycles.
    pub resolution: f64,
    /// What the processor counts during one of them, less the same, where it counts.
    pub counters: Option<BatchCounters>,
}

/// What a processor counts during one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchCounters {
    /// Cycles of the core.
    pub core_cycles: f64,
    /// Instructions.
    pub instructions: f64,
    /// Branches that were guessed wrong.
    pub branch_misses: f64,
    /// Accesses that the last level of the cache did not have.
    pub cache_misses: f64,
}

/// What a domain costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DomainCost {
    /// `kernel` or `user`.
    pub domain: String,
    /// Median of calls of a module that returns at once, less the cost of measuring.
    pub empty_call_cycles: u64,
}

/// One test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// The module.
    pub module: String,
    /// What it should have returned, where that is known.
    pub expected: Option<i32>,
    /// What it returned; nothing when it faulted.
    pub result: Option<i32>,
    /// Whether all went well.
    pub passed: bool,
}

/// One module that was not loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The file, or the embedded blob's name.
    pub source: String,
    /// Why.
    pub error: String,
}

/// One loaded module. Figures are those of `bareflow_loader::ModuleProfile`, in cycles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Module {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The how-manieth load of that name it is.
    pub generation: u32,
    /// `kernel` or `user`.
    pub domain: Cow<'static, str>,
    /// `loaded`, `faulted`, or `retired` while the last calls of a module that was replaced are under way.
    pub state: Cow<'static, str>,
    /// Whether its name stands for it: another version of it may be loaded beside it.
    pub active: bool,
    /// Bytes of memory it takes: segments, stack, heap, page tables.
    pub memory_bytes: u64,
    /// Address of its text.
    #[serde(with = "address")]
    pub code_address: u64,
    /// The x86-64 level, 1 to 4, of the code that was picked for this machine.
    pub cpu_level: u8,
    /// Bytes of its text.
    pub code_size: u64,
    /// Bytes of its blob.
    pub blob_size: u64,
    /// Calls.
    pub call_count: u64,
    /// Cycles of all calls.
    pub total_cycles: Option<u64>,
    /// The cheapest call.
    pub min_cycles: Option<u64>,
    /// The dearest call.
    pub max_cycles: Option<u64>,
    /// The mean.
    pub avg_cycles: Option<f64>,
    /// The standard deviation.
    pub std_dev: Option<f64>,
    /// The median, within 1/32.
    pub p50_cycles: Option<u64>,
    /// What 99 of 100 calls do not exceed, within 1/32.
    pub p99_cycles: Option<u64>,
    /// The figures less the cost of measuring.
    pub corrected: Corrected,
    /// Calls that were timed and returned; the others were left out by sampling.
    pub timed_calls: u64,
    /// What one of many calls in a row takes, where that was asked for.
    pub batch: Option<Batch>,
    /// What the last call returned.
    pub last_result: Option<i32>,
    /// Its last fault.
    pub fault: Option<Fault>,
    /// What more is known of that fault.
    pub diagnosis: Option<Diagnosis>,
    /// Faults so far.
    pub faults: u32,
    /// How often it was restarted after one.
    pub restarts: u32,
    /// What its calls may use up.
    pub budget: Budget,
    /// The most bytes of stack that its calls have used since it was loaded or restarted, where that is known and was asked for.
    #[serde(default)]
    pub peak_stack_bytes: Option<u64>,
    /// The most bytes of its heap that were allocated at once, in the same way.
    #[serde(default)]
    pub peak_heap_bytes: Option<u64>,
}

/// What the calls of a module may use up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Time of one call, in microseconds.
    pub time_us: u32,
    /// Bytes of stack.
    pub stack: u32,
    /// Bytes of heap.
    pub heap: u32,
    /// Bytes of data and bss, at the most.
    #[serde(default)]
    pub data: u32,
}

/// Figures less the cost of measuring.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Corrected {
    /// The cheapest call.
    pub min: Option<u64>,
    /// The mean.
    pub avg: Option<f64>,
    /// The median.
    pub p50: Option<u64>,
    /// What 99 of 100 calls do not exceed.
    pub p99: Option<u64>,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Its kind.
    pub kind: Cow<'static, str>,
    /// The instruction's distance from the image's base; nothing when execution had left it.
    pub offset: Option<u64>,
    /// The address that was accessed.
    #[serde(with = "optional_address")]
    pub address: Option<u64>,
    /// The function that the instruction is in, and its distance from that one's start, where the blob names it; of a
    /// panic and where the heap was used up, the one that asked for it.
    pub function: Option<String>,
}

/// What is known of a fault beyond its kind and place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The registers.
    pub registers: Vec<Register>,
    /// The module's bytes at the instruction.
    pub code: Vec<u8>,
    /// The same as text; the host fills it in.
    pub disassembly: Vec<String>,
    /// The last service calls, the latest last.
    pub services: Vec<String>,
    /// What a panic said, and where.
    pub panic: Option<String>,
    /// What can be done about it in the module's `Cargo.toml`.
    #[serde(default)]
    pub remedy: Option<String>,
}

/// A register.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Register {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What was in it.
    #[serde(with = "address")]
    pub value: u64,
}

/// Addresses: numbers between machines, "0x.." for people and scripts, since a
/// JSON number can't hold 64 bits everywhere.
mod address {
    use alloc::format;
    use alloc::string::String;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(address: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(&format_args!("{address:#x}"))
        } else {
            address.serialize(serializer)
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        if !deserializer.is_human_readable() {
            return u64::deserialize(deserializer);
        }
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        digits.ok_or_else(|| D::Error::custom(format!("\"{text}\", expected an address such as \"0x1000\"")))
    }
}

/// The same for an address that may be missing.
mod optional_address {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Address(#[serde(with = "super::address")] u64);

    pub(super) fn serialize<S: Serializer>(address: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        address.map(Address).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        Ok(Option::<Address>::deserialize(deserializer)?.map(|address| address.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    fn report() -> Report {
        let module = Module {
            name: "sum".into(),
            version: "1.0.0".into(),
            generation: 1,
            domain: "kernel".into(),
            state: "faulted".into(),
            active: true,
            memory_bytes: 12288,
            code_address: 0xffff_ffff_9000_0000,
            cpu_level: 1,
            code_size: 6,
            blob_size: 134,
            call_count: 1,
            total_cycles: None,
            min_cycles: None,
            max_cycles: None,
            avg_cycles: Some(1.5),
            std_dev: None,
            p50_cycles: None,
            p99_cycles: None,
            corrected: Corrected::default(),
            timed_calls: 1,
            batch: None,
            last_result: None,
            fault: Some(Fault {
                kind: "page_read".into(),
                offset: Some(3),
                address: Some(0),
                function: Some("work+0x3".into()),
            }),
            diagnosis: Some(Diagnosis {
                registers: [Register { name: "rip".into(), value: u64::MAX }].into(),
                code: [0x8b, 0].into(),
                disassembly: ["mov eax,[rax]".into()].into(),
                services: ["log(0x0, 0x1)".into()].into(),
                panic: None,
                remedy: Some("set heap".into()),
            }),
            faults: 1,
            restarts: 0,
            budget: Budget { time_us: 1000, stack: 65536, heap: 0, data: 0 },
            peak_stack_bytes: Some(4096),
            peak_heap_bytes: None,
        };
        Report {
            schema: SCHEMA,
            environment: Environment {
                place: "host".into(),
                clock: "tsc".into(),
                timing: "fast".into(),
                call_overhead_cycles: 26,
                cpu: "test".into(),
                domains: [DomainCost { domain: "kernel".into(), empty_call_cycles: 30 }].into(),
                first_call_cycles: None,
                clock_step_cycles: 26,
                clock_invariant: true,
                clock_hertz: None,
                load_cycles: None,
            },
            tests: [Test { module: "sum".into(), expected: Some(5050), result: None, passed: false }].into(),
            refused: [Refusal { source: "x.mod".into(), error: "empty".into() }].into(),
            modules: [module].into(),
            total_modules: 1,
            total_calls: 1,
            passed: false,
        }
    }

    #[test]
    fn travels_as_a_message() {
        let message = Message::Report(report());
        let mut decoder = crate::Decoder::new();
        decoder.push(&message.to_frame());
        let payload = decoder.next_payload().unwrap().unwrap();
        assert_eq!(Message::from_payload(&payload), Ok(message));
    }

    #[test]
    fn has_the_json_form_scripts_rely_on() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["environment"]["where"], "host");
        assert_eq!(json["modules"][0]["code_address"], "0xffffffff90000000");
        assert_eq!(json["modules"][0]["corrected"]["min"], serde_json::Value::Null);
        assert_eq!(json["modules"][0]["fault"]["address"], "0x0");
        assert_eq!(json["modules"][0]["fault"]["kind"], "page_read");
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report());
    }
}
