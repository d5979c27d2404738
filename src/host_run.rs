//! The `host` command: a run in this process.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Error, Result, ensure};
use bareflow_host::{cpu_level, cpu_name};
use bareflow_loader::Domain;
use bareflow_suite::archive::Archive;
use bareflow_suite::console::{Console, Style};
use bareflow_suite::load_defaults::LoadDefaults;
use bareflow_suite::module_limits::ModuleLimits;
use bareflow_suite::{Plan, Source, run};

use crate::in_process;
use crate::input_files::InputFiles;
use crate::options::HostOptions;
use crate::output::Terminal;
use crate::replay::replay;
use crate::report::finish;
use crate::{Exit, embedded, engines, output_file, say};

/// Standard output, and the last output of a module.
#[derive(Default)]
struct Keeping(Terminal, RefCell<Option<Vec<u8>>>);

impl Console for Keeping {
    fn show(&self, style: Style, text: fmt::Arguments<'_>) {
        self.0.show(style, text);
    }

    fn keep_output(&self, _: &str, bytes: &[u8]) {
        self.1.replace(Some(bytes.to_vec()));
    }
}

/// Runs the command.
pub fn host(options: &HostOptions) -> Result<Exit> {
    if let Some(recording) = &options.replay {
        let files = InputFiles::blobs(&options.run.files);
        ensure!(
            !files.has_portable(),
            "--replay: there is a portable module among the files, which no recording holds"
        );
        return replay(recording, &files);
    }
    let HostOptions { run: options, output, store, .. } = options;
    if let Some(folder) = store {
        let made = std::fs::create_dir_all(folder);
        made.with_context(|| format!("can't make the folder {}", folder.display()))?;
    }
    let files = engines::go_along(InputFiles::read(options)?, &options.loading.portable)?;
    options.loading.portable.warn();
    let manager = in_process::manager(options.loading.timing, |line| say!("{line}"), store.as_deref())?;
    // The digests of engines are for nothing where nobody asks for the sandbox.
    let trusted = if options.loading.domain == Domain::Sandbox { &files.blobs[..files.engines] } else { &[] };
    manager.permit_sandbox(in_process::sandbox(trusted, options.loading.portable.portable().guard));
    let plan = Plan {
        embedded: Archive::read(embedded::MODULES).map_err(Error::msg)?.blobs,
        files: files.blobs.iter().map(|(label, bytes)| Source { label: label.clone(), bytes }).collect(),
        input: &files.input,
        repeat: options.repeat,
        load: LoadDefaults {
            load: options.loading.load(),
            limits: ModuleLimits::new(&files.limits),
            portable: options.loading.portable.portable(),
        },
        parameters: &files.parameters,
        place: "host",
        clock: "tsc",
        cpu: format!("{} (x86-64-v{})", cpu_name(), cpu_level()),
        batch: options.batch,
        events_us: options.events_us(),
        sleep: |microseconds| std::thread::sleep(Duration::from_micros(microseconds)),
        started: None,
    };
    let console = Keeping::default();
    let mut report = run(&manager, &plan, &console);
    let ended = finish(&mut report, files.unreadable, options)?;
    if let Some(path) = output {
        output_file::write(
            path,
            &console.1.take().context("no module wrote anything, so there is nothing to write to a file")?,
        )?;
    }
    Ok(ended)
}
