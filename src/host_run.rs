//! `host`: the run in this process.

use bareflow_host::{HostPlatform, cpu_level, cpu_name};
use bareflow_loader::ModuleManager;
use bareflow_protocol::report::Environment;
use bareflow_suite::archive::Archive;
use bareflow_suite::{Plan, Source, run};

use crate::files::{Files, finish};
use crate::options::HostOptions;
use crate::output::Terminal;
use crate::replay::replay;
use crate::{Ended, Problem, embedded, say};

/// Carries the command out.
///
/// # Errors
/// What keeps it from being carried out.
pub fn host(options: &HostOptions) -> Result<Ended, Problem> {
    if let Some(recording) = &options.replay {
        return replay(recording, &Files::blobs(&options.run.files));
    }
    let options = &options.run;
    let files = Files::read(options)?;
    let platform = HostPlatform::new(Box::new(|line| say!("{line}")))
        .map_err(|error| format!("can't prepare this process for modules: {error}"))?;
    let manager = ModuleManager::new(platform, options.loading.timing.into());
    let plan = Plan {
        embedded: Archive::read(embedded::MODULES)?.blobs,
        files: files.blobs.iter().map(|(label, bytes)| Source { label: label.clone(), bytes }).collect(),
        input: &files.input,
        repeat: options.repeat,
        load: options.loading.load(),
        elsewhere: Vec::new(),
        environment: Environment {
            place: "host".to_owned(),
            clock: "tsc".to_owned(),
            timing: String::new(),
            call_overhead_cycles: 0,
            cpu: format!("{} (x86-64-v{})", cpu_name(), cpu_level()),
            domains: Vec::new(),
            first_call_cycles: None,
            clock_step_cycles: 0,
            clock_invariant: false,
            clock_hertz: None,
            load_cycles: None,
        },
        batch: options.batch,
        started: None,
    };
    let mut report = run(&manager, &plan, &mut Terminal);
    finish(&mut report, files, options)
}
