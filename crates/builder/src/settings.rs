//! The settings of a module in `package.metadata.bareflow`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bareflow_abi::header::SERVICE_NAMES;
use bareflow_packer::Depends;
use serde::Deserialize;

use crate::error::BuildError;
use crate::example::{Example, ExampleSettings};
use crate::version_range;

/// Run-time checks that the compiler adds to code on request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// Whether arithmetic overflow panics.
    pub overflow: bool,
    /// Whether `debug_assert!` is enabled.
    pub debug_assertions: bool,
}

impl Checks {
    /// All checks: for `--debug`.
    pub const ALL: Checks = Checks { overflow: true, debug_assertions: true };
}

/// The table, as written in `Cargo.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModuleSettings {
    /// The expected result of a run, and of an example call without input.
    pub expect: Option<i32>,
    /// The stack that a call needs: bytes, or a text such as "16K".
    pub stack: Option<Amount>,
    /// The heap that the module needs: bytes, or a text such as "1M".
    pub heap: Option<Amount>,
    /// The time a call may take: microseconds, or a text such as "10ms".
    pub time: Option<Amount>,
    /// The services that the module uses, by name.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The modules that it calls, and the versions that will do, by Cargo's rules.
    #[serde(default)]
    pub depends: BTreeMap<String, String>,
    /// The providers of its imports, by the imports' names: modules, also with a requirement, such as `disk@^1`.
    #[serde(default)]
    pub bind: BTreeMap<String, String>,
    /// The devices that it drives, such as `virtio:net`, `pci:8086:10d3` or `pci:class:0200`.
    #[serde(default)]
    pub devices: Vec<String>,
    /// The optimisation level: 1, 2, 3, "s" or "z".
    pub opt_level: Option<OptLevel>,
    /// The x86-64 levels ("v2" to "v4") for which there are variants, each with an optimisation level.
    #[serde(default)]
    pub variants: BTreeMap<String, OptLevel>,
    /// The profile of the module's runs: a file of `llvm-profdata` in its folder.
    pub profile: Option<String>,
    /// Calls with their expected outcomes.
    #[serde(default)]
    pub example: Vec<ExampleSettings>,
    /// Whether the module is built as WebAssembly, for engines.
    #[serde(default)]
    pub portable: bool,
    /// Whether the blob is packed without the names of its functions.
    #[serde(default)]
    pub strip: bool,
    /// The crate's own features that are enabled for the module.
    #[serde(default)]
    pub features: Vec<String>,
    /// Whether the crate's default features are enabled; they are by default.
    pub default_features: Option<bool>,
    /// Compiler flags: `--cfg` and lints.
    #[serde(default)]
    pub rustflags: Vec<String>,
}

/// The options of code generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodegenOptions {
    /// The x86-64 level of the target processors, 1 to 4.
    pub cpu_level: u8,
    /// The optimisation level, in cargo's notation.
    pub opt_level: String,
    /// The profile for the compiler, if there is one: a file of `llvm-profdata`.
    pub profile: Option<PathBuf>,
}

/// A number, or a text with a unit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// A number in the base unit.
    Number(u64),
    /// A number with a unit.
    Text(String),
}

impl std::fmt::Display for Amount {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Amount::Number(number) => write!(out, "{number}"),
            Amount::Text(text) => write!(out, "\"{text}\""),
        }
    }
}

/// A number, or one of cargo's letters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OptLevel {
    /// 0 to 3.
    Number(u8),
    /// "s" or "z".
    Text(String),
}

/// Units of memory, in bytes.
const MEMORY: [(&str, u64); 3] = [("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30)];

/// Units of time, in microseconds.
const TIME: [(&str, u64); 4] = [("us", 1), ("ms", 1_000), ("s", 1_000_000), ("min", 60_000_000)];

/// The default limits of a module's budget, as in `bareflow_loader::Budget::LIMITS`.
const LIMITS: [(&str, u64, &str); 3] =
    [("stack", 1 << 20, "1M"), ("heap", 16 << 20, "16M"), ("time", 60_000_000, "60s")];

impl ModuleSettings {
    /// Reads the table from a package's metadata. Without a table, the settings are the defaults.
    ///
    /// # Errors
    /// When the table has an unknown key or a value of the wrong type.
    pub fn read(krate: &str, metadata: &serde_json::Value) -> Result<ModuleSettings, BuildError> {
        let Some(table) = metadata.get("bareflow") else { return Ok(ModuleSettings::default()) };
        ModuleSettings::deserialize(table)
            .map_err(|error| BuildError::Settings { krate: krate.to_owned(), reason: error.to_string() })
    }

    /// Returns the stack's size in bytes; 0 if the table does not give one.
    ///
    /// # Errors
    /// A text that says what can't be understood.
    pub fn stack_size(&self) -> Result<u32, String> {
        amount("stack", self.stack.as_ref(), &MEMORY)
    }

    /// Returns the heap's size in bytes; 0 if the table does not give one.
    ///
    /// # Errors
    /// A text that says what can't be understood.
    pub fn heap_size(&self) -> Result<u32, String> {
        amount("heap", self.heap.as_ref(), &MEMORY)
    }

    /// Returns the time limit of a call in microseconds; 0 if the table does not give one.
    ///
    /// # Errors
    /// A text that says what can't be understood.
    pub fn time_us(&self) -> Result<u32, String> {
        amount("time", self.time.as_ref(), &TIME)
    }

    /// Returns warnings about settings that will not take full effect, or are probably mistakes. The default limits are not
    /// those of an engine.
    #[must_use]
    pub fn doubts(&self, is_engine: bool) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.portable && !(self.variants.is_empty() && self.profile.is_none()) {
            doubts.push(
                "variants and profile are of native code: an engine compiles a portable module for the processor that it \
                 runs on"
                    .to_owned(),
            );
        }
        let wishes = [(&self.stack, self.stack_size()), (&self.heap, self.heap_size()), (&self.time, self.time_us())];
        for ((key, limit, shown), (amount, found)) in LIMITS.into_iter().zip(wishes) {
            let (Some(amount), Ok(found)) = (amount, found) else { continue };
            let found = u64::from(found);
            if found > limit && !is_engine {
                doubts.push(format!(
                    "{key} = {amount} is above the limit of {shown}, which is what it gets unless it is loaded with \
                     `--budget {key}=..`"
                ));
            }
            match amount {
                Amount::Number(number) if key == "time" && (1..1_000).contains(number) => {
                    doubts.push(format!("time = {number} is so many microseconds; is \"{number}ms\" meant?"));
                }
                Amount::Number(number) if key != "time" && (1..4096).contains(number) => {
                    doubts.push(format!("{key} = {number} is so many bytes; is \"{number}K\" meant?"));
                }
                _ => {}
            }
        }
        doubts
    }

    /// Returns the needed services as a bit set.
    ///
    /// # Errors
    /// A name that no service has.
    pub fn services(&self) -> Result<u32, String> {
        self.needs.iter().try_fold(0, |bits, need| {
            let service = SERVICE_NAMES.iter().find(|(_, name)| name == need);
            let known = SERVICE_NAMES.map(|(_, name)| name).join(", ");
            service.map(|(bit, _)| bits | bit).ok_or(format!("needs: no service \"{need}\", expected some of {known}"))
        })
    }

    /// Returns the modules that it calls, in the order of their names.
    ///
    /// # Errors
    /// A requirement that can't be understood.
    pub fn depends(&self) -> Result<Vec<Depends>, String> {
        let depends = self.depends.iter().map(|(name, requirement)| {
            let (from, below) =
                version_range::of(requirement).map_err(|why| format!("depends: {name} = \"{requirement}\": {why}"))?;
            Ok(Depends { name: name.clone(), from, below })
        });
        depends.collect()
    }

    /// Returns the providers of its imports, by the imports' names.
    ///
    /// # Errors
    /// A requirement that can't be understood.
    pub fn bind(&self) -> Result<BTreeMap<String, String>, String> {
        for (name, provider) in &self.bind {
            if let Some((_, requirement)) = provider.split_once('@') {
                version_range::of(requirement).map_err(|why| format!("bind: {name} = \"{provider}\": {why}"))?;
            }
        }
        Ok(self.bind.clone())
    }

    /// Returns the calls that `bareflow test` makes of a module whose `Cargo.toml` lies in `folder`: the one without
    /// input, if its result is given, then the examples.
    ///
    /// # Errors
    /// An example that can't be understood or read.
    pub fn examples(&self, folder: &Path) -> Result<Vec<Example>, String> {
        let expected = self.expect.map(|result| Ok(Example { result: Some(result), ..Example::default() }));
        let read = |(number, example): (usize, &ExampleSettings)| {
            example.read(folder).map_err(|why| format!("example {number}: {why}"))
        };
        expected.into_iter().chain((1..).zip(&self.example).map(read)).collect()
    }

    /// Returns the options of a module whose `Cargo.toml` lies in `folder`: for every processor, then for those of
    /// higher levels.
    ///
    /// # Errors
    /// A level that does not exist.
    pub fn codegen_options(&self, folder: &Path) -> Result<Vec<CodegenOptions>, String> {
        let profile = self.profile.as_ref().map(|file| folder.join(file));
        let own = self.opt_level.as_ref().map_or(Ok("2".to_owned()), |level| opt_level("opt-level", level))?;
        let mut options = vec![CodegenOptions { cpu_level: 1, opt_level: own, profile: profile.clone() }];
        for (key, level) in &self.variants {
            let cpu_level = match key.as_str() {
                "v2" => 2,
                "v3" => 3,
                "v4" => 4,
                _ => return Err(format!("variants: \"{key}\", expected \"v2\", \"v3\" or \"v4\"")),
            };
            let opt_level = opt_level(&format!("variants: {key}"), level)?;
            options.push(CodegenOptions { cpu_level, opt_level, profile: profile.clone() });
        }
        Ok(options)
    }
}

/// Returns an optimisation level in cargo's notation.
fn opt_level(key: &str, level: &OptLevel) -> Result<String, String> {
    let level = match level {
        OptLevel::Number(level) => level.to_string(),
        OptLevel::Text(level) => level.clone(),
    };
    let known = ["0", "1", "2", "3", "s", "z"].contains(&level.as_str());
    if known { Ok(level) } else { Err(format!("{key}: \"{level}\", expected 0 to 3, \"s\" or \"z\"")) }
}

fn amount(key: &str, amount: Option<&Amount>, units: &[(&str, u64)]) -> Result<u32, String> {
    let value = match amount {
        None => Some(0),
        Some(Amount::Number(number)) => Some(*number),
        Some(Amount::Text(text)) => with_unit(text, units),
    };
    let refused = || {
        let units: Vec<_> = units.iter().map(|(unit, _)| *unit).collect();
        let amount = amount.map(ToString::to_string).unwrap_or_default();
        format!("{key} = {amount}, expected a number that fits 32 bits, or a text with a unit ({})", units.join(", "))
    };
    value.and_then(|value| u32::try_from(value).ok()).ok_or_else(refused)
}

/// Parses a number with a unit. Of several units that match, the longest one counts, so that "ms" is not taken for "s".
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let fitting = units.iter().filter_map(|(unit, factor)| Some((text.strip_suffix(unit)?, unit.len(), factor)));
    let (number, _, factor) = fitting.max_by_key(|&(_, length, _)| length).unwrap_or((text, 0, &1));
    number.trim().parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn codegen(cpu_level: u8, opt_level: &str) -> CodegenOptions {
        CodegenOptions { cpu_level, opt_level: opt_level.to_owned(), profile: None }
    }

    fn read(table: serde_json::Value) -> ModuleSettings {
        ModuleSettings::read("test", &json!({ "bareflow": table })).unwrap()
    }

    #[test]
    fn defaults_without_a_table() {
        let settings = ModuleSettings::read("test", &json!(null)).unwrap();
        assert_eq!(settings, ModuleSettings::default());
        assert_eq!(settings.codegen_options(Path::new("m")), Ok(vec![codegen(1, "2")]));
    }

    #[test]
    fn doubts_wishes_above_the_limits_and_numbers_without_units() {
        let doubts = read(json!({ "stack": "2M", "heap": "64M", "time": "2min" })).doubts(false);
        let starts = [
            "stack = \"2M\" is above the limit of 1M",
            "heap = \"64M\" is above the limit of 16M",
            "time = \"2min\" is above the limit of 60s",
        ];
        assert_eq!(doubts.len(), starts.len(), "{doubts:?}");
        assert!(doubts.iter().zip(starts).all(|(doubt, start)| doubt.starts_with(start)), "{doubts:?}");
        let doubts = read(json!({ "heap": 256, "time": 10, "stack": 65536 })).doubts(false);
        assert_eq!(
            doubts,
            [
                "heap = 256 is so many bytes; is \"256K\" meant?",
                "time = 10 is so many microseconds; is \"10ms\" meant?"
            ]
        );
        assert!(read(json!({ "stack": "1M", "heap": "16M", "time": "60s" })).doubts(false).is_empty());
        assert!(read(json!({ "heap": "64M" })).doubts(true).is_empty());
    }

    #[test]
    fn reads_numbers_and_units() {
        let settings =
            read(json!({ "stack": "16K", "heap": 4096, "time": "10ms", "needs": ["log", "clock"], "opt-level": 3 }));
        assert_eq!((settings.stack_size(), settings.heap_size()), (Ok(16384), Ok(4096)));
        assert_eq!((settings.time_us(), settings.services()), (Ok(10_000), Ok(3)));
        assert_eq!(settings.codegen_options(Path::new("m")), Ok(vec![codegen(1, "3")]));
    }

    #[test]
    fn reads_variants() {
        let settings = read(json!({ "opt-level": "s", "variants": { "v4": 2, "v3": 3 } }));
        assert_eq!(
            settings.codegen_options(Path::new("m")),
            Ok(vec![codegen(1, "s"), codegen(3, "3"), codegen(4, "2")])
        );
        let profiled = read(json!({ "profile": "runs.profdata" })).codegen_options(Path::new("m")).unwrap();
        assert_eq!(profiled[0].profile.as_deref(), Some(Path::new("m/runs.profdata")));
    }

    #[test]
    fn reads_examples_behind_what_is_expected() {
        let settings = read(json!({ "expect": 1, "example": [{ "input": "a", "output": "b" }, {}] }));
        let error = settings.examples(Path::new("m")).unwrap_err();
        assert!(error.starts_with("example 2: checks nothing"), "{error}");
        let settings = read(json!({ "expect": 1, "example": [{ "input": "a", "output": "b" }] }));
        let found = settings.examples(Path::new("m")).unwrap();
        assert_eq!(found[0], Example { result: Some(1), ..Example::default() });
        assert_eq!(found[1], Example { input: b"a".to_vec(), output: Some(b"b".to_vec()), ..Example::default() });
    }

    #[test]
    fn reads_dependencies() {
        let settings = read(json!({ "depends": { "sum": "^1.2", "echo": "*" } }));
        let sum = Depends { name: "sum".to_owned(), from: [1, 2, 0], below: Some([2, 0, 0]) };
        let echo = Depends { name: "echo".to_owned(), from: [0; 3], below: None };
        assert_eq!(settings.depends(), Ok(vec![echo, sum]));
    }

    #[test]
    fn reads_providers() {
        let settings = read(json!({ "bind": { "source": "disk@^1", "target": "echo" } }));
        assert_eq!(settings.bind().unwrap()["source"], "disk@^1");
        let error = read(json!({ "bind": { "source": "disk@one" } })).bind().unwrap_err();
        assert!(error.starts_with("bind: source = \"disk@one\": "), "{error}");
    }

    #[test]
    fn rejects_what_it_does_not_know() {
        assert!(ModuleSettings::read("test", &json!({ "bareflow": { "expected": 1 } })).is_err());
        assert!(read(json!({ "needs": ["network"] })).services().unwrap_err().contains("network"));
        assert!(read(json!({ "stack": "16Q" })).stack_size().unwrap_err().contains("16Q"));
        assert!(read(json!({ "heap": "5G" })).heap_size().is_err());
        assert!(read(json!({ "opt-level": 9 })).codegen_options(Path::new("m")).is_err());
        assert!(
            read(json!({ "variants": { "v1": 3 } }))
                .codegen_options(Path::new("m"))
                .unwrap_err()
                .contains("\"v1\", expected \"v2\"")
        );
        assert!(
            read(json!({ "variants": { "v3": 9 } }))
                .codegen_options(Path::new("m"))
                .unwrap_err()
                .starts_with("variants: v3: \"9\"")
        );
        let error = read(json!({ "depends": { "sum": "one" } })).depends().unwrap_err();
        assert!(error.starts_with("depends: sum = \"one\": "), "{error}");
    }
}
