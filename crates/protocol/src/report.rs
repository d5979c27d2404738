//! The result of a run. Its JSON form is a contract: fields may be added, never renamed.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bareflow_loader::Budget;
use serde::{Deserialize, Serialize};

/// The version of the JSON form.
pub const SCHEMA: u32 = 1;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of the JSON form, [`SCHEMA`].
    pub schema: u32,
    /// The environment of the run.
    pub environment: Environment,
    /// The tests, in order.
    pub tests: Vec<Test>,
    /// The modules that were not loaded.
    pub refused: Vec<Refusal>,
    /// The modules that were loaded, in order.
    pub modules: Vec<Module>,
    /// The number of loaded modules.
    pub total_modules: u64,
    /// The number of calls of all modules.
    pub total_calls: u64,
    /// Whether all tests passed, no load was refused and no module faulted.
    pub passed: bool,
}

/// The environment of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// The kind of platform: `kernel` or `host`.
    #[serde(rename = "where")]
    pub place: String,
    /// The clock: `tsc`, or `icount` if a tick is an instruction.
    pub clock: String,
    /// The timing: `precise` or `fast`.
    pub timing: String,
    /// The cost of reading the clock twice, which is part of every raw figure.
    pub call_overhead_cycles: u64,
    /// The processor's name.
    pub cpu: String,
    /// The cost of a call in each domain that exists.
    pub domains: Vec<DomainCost>,
    /// The clock ticks from the kernel's first instruction to the first call of the run; absent in a process.
    pub first_call_cycles: Option<u64>,
    /// The clock's resolution, in cycles: a single call can't resolve less.
    pub clock_step_cycles: u64,
    /// Whether the clock ticks at a constant rate.
    pub clock_invariant: bool,
    /// The clock's frequency in Hz, if the processor reports it.
    pub clock_hertz: Option<u64>,
    /// The clock ticks to load the module `sum`, call it once and unload it: a median.
    pub load_cycles: Option<u64>,
}

/// The time of one call, measured over many in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// The number of calls in a row.
    pub calls: u32,
    /// The cycles of one call, less those of a call of an empty module.
    pub cycles: f64,
    /// The clock's resolution divided by the calls in a row, in cycles.
    pub resolution: f64,
    /// The processor's event counts during one call, less those of an empty module's call, if the processor counts.
    pub counters: Option<BatchCounters>,
}

/// The processor's event counts during one call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BatchCounters {
    /// The cycles of the core.
    pub core_cycles: f64,
    /// The retired instructions.
    pub instructions: f64,
    /// The mispredicted branches.
    pub branch_misses: f64,
    /// The misses in the last-level cache.
    pub cache_misses: f64,
}

/// The cost of a call in a domain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DomainCost {
    /// The domain: `kernel` or `user`.
    pub domain: String,
    /// The median of calls of a module that returns at once, less the cost of measuring.
    pub empty_call_cycles: u64,
}

/// The result of one test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Test {
    /// The module's name.
    pub module: String,
    /// The expected result, if it is known.
    pub expected: Option<i32>,
    /// The result; absent if the module faulted.
    pub result: Option<i32>,
    /// Whether the test passed.
    pub passed: bool,
    /// The CRC-32C of the last call's output; absent if it had no room for any, or faulted.
    #[serde(default)]
    pub output_checksum: Option<u32>,
}

/// A module that was not loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The file, or the name of the embedded blob.
    pub source: String,
    /// The reason.
    pub error: String,
    /// The x86-64 level, 1 to 4, that the module needs, if it was refused because the processor lacks it.
    #[serde(default)]
    pub missing_cpu_level: Option<u8>,
}

impl Refusal {
    /// Creates a refusal for any reason but a missing x86-64 level.
    #[must_use]
    pub const fn new(source: String, error: String) -> Refusal {
        Refusal { source, error, missing_cpu_level: None }
    }
}

/// A loaded module. Figures are those of `bareflow_loader::ModuleProfile`, in cycles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Module {
    /// The module's name.
    pub name: String,
    /// The module's version.
    pub version: String,
    /// The number of times this name has been loaded, this load included.
    pub generation: u32,
    /// The domain: `kernel` or `user`.
    pub domain: Cow<'static, str>,
    /// The state: `loaded`, `faulted`, or `retired` while the last calls of a replaced module are running.
    pub state: Cow<'static, str>,
    /// Whether it is the active version of its name: other versions may be loaded beside it.
    pub active: bool,
    /// The memory that it uses in bytes: segments, stack, heap, page tables.
    pub memory_bytes: u64,
    /// The address of its text.
    #[serde(with = "address")]
    pub code_address: u64,
    /// The x86-64 level, 1 to 4, of the code that was placed.
    pub cpu_level: u8,
    /// The size of its text, in bytes.
    pub code_size: u64,
    /// The size of its blob, in bytes.
    pub blob_size: u64,
    /// The engine that compiled it, `name@version`; absent if it is native.
    #[serde(default)]
    pub engine: Option<String>,
    /// The tier that a portable module runs in, 0 to 2; absent if it is native.
    #[serde(default)]
    pub tier: Option<u8>,
    /// The tiers that a portable module left, and the one that it may not go to; absent if there are none.
    #[serde(default)]
    pub ascent: Option<Ascent>,
    /// The number of calls.
    pub call_count: u64,
    /// The cycles of all timed calls.
    pub total_cycles: Option<u64>,
    /// The shortest call.
    pub min_cycles: Option<u64>,
    /// The longest call.
    pub max_cycles: Option<u64>,
    /// The mean.
    pub avg_cycles: Option<f64>,
    /// The standard deviation.
    pub std_dev: Option<f64>,
    /// The median, within 1/32.
    pub p50_cycles: Option<u64>,
    /// The value that 99 of 100 calls do not exceed, within 1/32.
    pub p99_cycles: Option<u64>,
    /// The figures less the cost of measuring.
    pub corrected: Corrected,
    /// The number of calls that were timed and returned; sampling left the others out.
    pub timed_calls: u64,
    /// The time of one call, measured over many in a row, if that was requested.
    pub batch: Option<Batch>,
    /// The result of the last call.
    pub last_result: Option<i32>,
    /// The last fault.
    pub fault: Option<Fault>,
    /// The diagnosis of the last fault.
    pub diagnosis: Option<Diagnosis>,
    /// The number of faults so far.
    pub faults: u32,
    /// The number of restarts after a fault.
    pub restarts: u32,
    /// The budget of its calls.
    pub budget: Budget,
    /// The peak use of stack since it was loaded or restarted, in bytes, if it is known and was requested.
    #[serde(default)]
    pub peak_stack_bytes: Option<u64>,
    /// The peak of allocated bytes in its heap, under the same conditions.
    #[serde(default)]
    pub peak_heap_bytes: Option<u64>,
    /// The parameters that were set.
    #[serde(default)]
    pub parameters: Vec<SetParameter>,
    /// The imports, with their providers.
    #[serde(default)]
    pub imports: Vec<BoundImport>,
    /// The exported functions that were called, with their profiles.
    #[serde(default)]
    pub functions: Vec<Function>,
    /// The events that it handles; absent if it handles none.
    #[serde(default)]
    pub events: Option<Events>,
    /// The supervision, if its restarts are delayed, or if it falls back.
    #[serde(default)]
    pub supervision: Option<Supervision>,
}

/// The events that a module handles, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// The events, in the order of their numbers.
    pub list: Vec<Event>,
    /// Whether the module is a task that has ended.
    pub ended: bool,
    /// The number of calls of handlers.
    pub handled: u64,
    /// The number of periods that passed without a call of their own.
    pub missed: u64,
    /// The number of timers whose handlers began more than a millisecond after they were due.
    pub late: u64,
    /// The longest time from due to the handler's begin, in microseconds.
    pub longest_delay_us: u64,
}

/// An event that a module handles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The event's name.
    pub name: String,
    /// The kind: `timer`, `subscription`, `stop` or `watchdog`.
    pub kind: Cow<'static, str>,
    /// The notification that a subscription is for, `module.notification`; empty for other kinds.
    pub source: String,
    /// The time until a timer is due, in microseconds; absent if it is not armed.
    pub due_in_us: Option<u64>,
    /// The period of a timer as it runs, in microseconds; 0 if it is due once.
    pub period_us: u64,
    /// Whether it is due, and not handled yet.
    pub pending: bool,
    /// Whether the module, a task, waits for it.
    pub awaited: bool,
}

impl Module {
    /// Returns the state for people: that of a module that waits says for how long.
    #[must_use]
    pub fn shown_state(&self) -> impl fmt::Display {
        fmt::from_fn(|out| {
            let supervision = self.supervision.as_ref();
            match supervision.and_then(|supervision| supervision.starts_in_ms) {
                Some(wait) => write!(out, "waiting {wait} ms")?,
                None => out.write_str(&self.state)?,
            }
            match supervision.and_then(|supervision| supervision.fell_back_from.as_ref()) {
                Some(from) => write!(out, ", fell back from {from}"),
                None => Ok(()),
            }
        })
    }
}

/// The supervision of a module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Supervision {
    /// The action after a fault, in the words of `--on-fault`.
    pub on_fault: String,
    /// The time until it starts again, in milliseconds; absent if it does not wait.
    pub starts_in_ms: Option<u64>,
    /// The number of restarts within the policy's window.
    pub restarts_within_window: u32,
    /// The reason for which it could not be started again the last time.
    pub refusal: Option<String>,
    /// The version that it may return to.
    pub previous: Option<String>,
    /// The later version that faulted, so that this one runs again.
    pub fell_back_from: Option<String>,
    /// The fault of that version.
    pub fell_back_for: Option<Fault>,
}

/// The profile of a function that a module exports. Figures are in cycles, as those of the [`Module`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// The name: `interface.method`, or that of a plain function.
    pub name: String,
    /// The number of calls.
    pub call_count: u64,
    /// The number of calls that faulted.
    pub faults: u32,
    /// The shortest call.
    pub min_cycles: Option<u64>,
    /// The longest call.
    pub max_cycles: Option<u64>,
    /// The mean.
    pub avg_cycles: Option<f64>,
    /// The median, within 1/32.
    pub p50_cycles: Option<u64>,
    /// The value that 99 of 100 calls do not exceed, within 1/32.
    pub p99_cycles: Option<u64>,
    /// The result of the last call; of a method, the number of its status.
    pub last_result: Option<i32>,
}

/// A parameter that was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetParameter {
    /// The parameter's name.
    pub name: String,
    /// The value, as it was written.
    pub value: String,
}

/// Shows `name=value`.
impl fmt::Display for SetParameter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}", self.name, self.value)
    }
}

/// An import and its provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundImport {
    /// The import's own name.
    pub name: String,
    /// The provider: `name@version` of a module, or the name of one of the kernel's own; empty if it is gone.
    pub provider: String,
}

/// Shows `name=provider`.
impl fmt::Display for BoundImport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}={}", self.name, self.provider)
    }
}

/// Figures less the cost of measuring.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Corrected {
    /// The shortest call.
    pub min: Option<u64>,
    /// The mean.
    pub avg: Option<f64>,
    /// The median.
    pub p50: Option<u64>,
    /// The value that 99 of 100 calls do not exceed.
    pub p99: Option<u64>,
}

/// The way of a portable module through its tiers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ascent {
    /// The switches so far.
    pub switches: Vec<TierSwitch>,
    /// The reason for which it stays in its tier.
    pub refused: Option<String>,
}

/// A switch to a higher tier. What the module gained is the difference of its cycles for each call, here and since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierSwitch {
    /// The tier that it left.
    pub from: u8,
    /// The tier that it went to.
    pub to: u8,
    /// The number of calls in the tier that it left.
    pub calls: u64,
    /// The cycles of these calls.
    pub cycles: u64,
    /// The cycles that the compilation took.
    pub compile_cycles: u64,
    /// The cycles until the new code was ready, with its instance.
    pub prepare_cycles: u64,
    /// The cycles of the switch itself.
    pub switch_cycles: u64,
    /// Whether the results were compared before.
    pub compared: String,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// The kind of the fault.
    pub kind: Cow<'static, str>,
    /// The offset of the faulting instruction from the image's base; absent if execution had left the image.
    pub offset: Option<u64>,
    /// The address that was accessed.
    #[serde(with = "optional_address")]
    pub address: Option<u64>,
    /// The function to blame with the offset in it, if the blob has symbols.
    ///
    /// For a panic or an exhausted heap, that is the function that called the library; for other faults, the one that
    /// faulted.
    pub function: Option<String>,
}

/// Shows the fault on one line.
impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.kind)?;
        match self.offset {
            Some(offset) => write!(out, " at offset {offset:#x}")?,
            None if self.kind == "watchdog" => {}
            None => write!(out, " outside the module")?,
        }
        if let Some(address) = self.address {
            write!(out, ", address {address:#x}")?;
        }
        self.function.iter().try_for_each(|function| write!(out, ", in {function}"))
    }
}

/// The details of a fault beyond its kind and address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The registers.
    pub registers: Vec<Register>,
    /// The module's bytes at the faulting instruction.
    pub code: Vec<u8>,
    /// The disassembly of these bytes; the host fills it in.
    pub disassembly: Vec<String>,
    /// The last service calls, the latest last.
    pub services: Vec<String>,
    /// The message and location of a panic.
    pub panic: Option<String>,
    /// The change of the module's `Cargo.toml` that prevents the fault.
    #[serde(default)]
    pub remedy: Option<String>,
}

/// A register with its value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Register {
    /// The register's name.
    pub name: Cow<'static, str>,
    /// The register's value.
    #[serde(with = "address")]
    pub value: u64,
}

/// Serialisation of addresses: as numbers between machines, as "0x.." for people and scripts.
///
/// Not every JSON implementation has numbers of 64 bits.
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

/// Serialisation of optional addresses.
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
            engine: Some("compiler@0.2.0".into()),
            tier: Some(2),
            ascent: Some(Ascent {
                switches: alloc::vec![TierSwitch {
                    from: 0,
                    to: 2,
                    calls: 9,
                    cycles: 90,
                    compile_cycles: 80,
                    prepare_cycles: 70,
                    switch_cycles: 60,
                    compared: "results equal".into(),
                }],
                refused: Some("no".into()),
            }),
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
            budget: Budget { time_us: 1000, stack_bytes: 65536, heap_bytes: 0, data_bytes: 0, memory_bytes: 0 },
            peak_stack_bytes: Some(4096),
            peak_heap_bytes: None,
            parameters: [SetParameter { name: "mtu".into(), value: "9000".into() }].into(),
            imports: [BoundImport { name: "source".into(), provider: "disk@1.0.0".into() }].into(),
            functions: [Function {
                name: "files.read".into(),
                call_count: 2,
                faults: 1,
                min_cycles: Some(7),
                max_cycles: Some(7),
                avg_cycles: Some(7.0),
                p50_cycles: Some(7),
                p99_cycles: Some(7),
                last_result: None,
            }]
            .into(),
            events: Some(Events {
                list: [Event {
                    name: "tick".into(),
                    kind: "timer".into(),
                    source: String::new(),
                    due_in_us: Some(9),
                    period_us: 10,
                    pending: false,
                    awaited: true,
                }]
                .into(),
                handled: 3,
                ..Events::default()
            }),
            supervision: Some(Supervision {
                on_fault: "fallback".into(),
                starts_in_ms: Some(120),
                fell_back_from: Some("1.1.0".into()),
                ..Supervision::default()
            }),
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
            tests: [Test {
                module: "sum".into(),
                expected: Some(5050),
                result: None,
                passed: false,
                output_checksum: None,
            }]
            .into(),
            refused: [Refusal::new("x.mod".into(), "empty".into())].into(),
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
