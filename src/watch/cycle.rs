//! One cycle of `watch`: build, upload, load; and the line with its times.

use std::time::{Duration, Instant};

use anyhow::Result;
use bareflow_builder::{ModuleCrate, build_module};
use bareflow_protocol::control::Push;
use bareflow_protocol::{Request, Response};
use jiff::Zoned;
use serde::{Serialize, Serializer};

use crate::client::unexpected;
use crate::client::{Client, provide_engine, upload};
use crate::options::WatchOptions;
use crate::say;

/// The outcome of a cycle.
#[derive(Debug, Serialize)]
pub(super) struct Cycle {
    schema: u32,
    module: String,
    version: String,
    generation: Option<u32>,
    #[serde(rename = "compile_ms", serialize_with = "milliseconds")]
    compile: Option<Duration>,
    #[serde(rename = "pack_ms", serialize_with = "milliseconds")]
    pack: Option<Duration>,
    #[serde(rename = "transfer_ms", serialize_with = "milliseconds")]
    transfer: Option<Duration>,
    #[serde(rename = "kernel_ms", serialize_with = "milliseconds")]
    kernel: Option<Duration>,
    /// The reason why the module does not run; in colours, if it is the compiler's.
    #[serde(serialize_with = "plainly")]
    pub error: Option<String>,
}

/// Serialises a text without colours.
fn plainly<S: Serializer>(text: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().map(|text| anstream::adapter::strip_str(text).to_string()).serialize(serializer)
}

/// Serialises a time as a number of milliseconds, to the microsecond.
fn milliseconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_micros() as f64 / 1000.0).serialize(serializer)
}

/// Builds `module`, uploads it, and makes the kernel load it as `options` say.
pub(super) fn run(module: &ModuleCrate, options: &WatchOptions, client: &mut Client) -> Result<Cycle> {
    let lines = options.overrides.assignments.lines();
    let overrides = options.overrides.overrides(&lines);
    let blob = build_module(module, &module.target.join("modules"))?;
    if module.settings.portable {
        provide_engine(client, &options.engines, overrides.tier, &options.connect)?;
    }
    let start = Instant::now();
    upload(client, &blob.bytes, &mut |_, _| ())?;
    let transfer = start.elapsed();
    let ending = if module.settings.portable { "wasm" } else { "mod" };
    let label = format!("{}.{ending}", module.name);
    let start = Instant::now();
    let answer = client.ask(Request::Push(Push { label: &label, overrides, beside: false, gate: None }))?;
    let kernel = start.elapsed();
    let Response::Loaded(loaded) = answer else { return Err(unexpected(&answer)) };
    Ok(Cycle {
        version: loaded.version.clone(),
        generation: Some(loaded.generation),
        compile: Some(blob.compile_time),
        pack: Some(blob.pack_time),
        transfer: Some(transfer),
        kernel: Some(kernel),
        error: None,
        ..Cycle::failed(module, String::new())
    })
}

impl Cycle {
    /// Returns a cycle that failed.
    pub(super) fn failed(module: &ModuleCrate, error: String) -> Cycle {
        let (major, minor, patch) = module.version;
        Cycle {
            schema: 1,
            module: module.name.clone(),
            version: format!("{major}.{minor}.{patch}"),
            generation: None,
            compile: None,
            pack: None,
            transfer: None,
            kernel: None,
            error: Some(error),
        }
    }

    /// Shows the cycle; on one line if it succeeded.
    pub(super) fn show(&self) {
        let (now, Cycle { module, version, .. }) = (Zoned::now().strftime("%H:%M:%S").to_string(), self);
        match (&self.error, self.generation) {
            (None, Some(generation)) => say!("{now} {module} {version} (load {generation}): {}: running", self.parts()),
            (None, None) => say!("{now} {module} {version}: {}: running", self.parts()),
            (Some(error), _) => crate::complain!("{now} {module} {version}: {}", error.trim_end()),
        }
    }

    /// Formats the time of each part.
    fn parts(&self) -> String {
        let parts =
            [("compile", self.compile), ("pack", self.pack), ("transfer", self.transfer), ("kernel", self.kernel)];
        let shown = parts.into_iter().filter_map(|(name, time)| Some(format!("{name} {} ms", time?.as_millis())));
        shown.collect::<Vec<_>>().join(", ")
    }
}
