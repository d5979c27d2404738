//! The `inject` command: the fault campaign.
//!
//! Kernels in QEMU flip bits of running modules, one piece of the campaign per boot. This side counts the outcomes,
//! shows the progress, and boots a new kernel where one was lost.

mod state;
mod tally;

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Error, Result, anyhow, ensure};
use bareflow_abi::checksum::crc32c;
use bareflow_abi::header::FLAG_NO_RUN;
use bareflow_builder::build_module;
use bareflow_builder::discover::module_at;
use bareflow_loader::{Domain, LoadOptions, RawModule, Timing};
use bareflow_protocol::campaign::Campaign;
use bareflow_protocol::options::{Rig, Task};
use bareflow_protocol::{KernelOptions, Message};
use bareflow_suite::archive::Archive;
use bareflow_suite::portable::is_wasm;
use indicatif::ProgressBar;
use serde::Serialize;

use crate::input_files::{InputFiles, label, read_blob, write_json};
use crate::options::{InjectOptions, Network};
use crate::output::progress_bar;
use crate::qemu::{ExitReason, Machine};
use crate::{Exit, embedded, engines, say, workspace};
use state::CampaignState;
use tally::Tally;

/// The number of injections in one boot.
const PIECE: u64 = 2000;

/// The time without output after which a kernel counts as lost.
///
/// An injection takes milliseconds, but on a busy machine the emulator may have to wait.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The number of copies of each of the four modules in the list.
///
/// The all-in-one module is in it once, since a call of it takes as long as some dozen of theirs.
const SHARE: usize = 4;

/// The summary that is written as JSON.
#[derive(Debug, Serialize)]
struct Summary<'tally> {
    seed: u64,
    count: u64,
    domain: &'static str,
    #[serde(flatten)]
    tally: &'tally Tally,
}

/// Runs the command.
pub fn inject(options: &InjectOptions) -> Result<Exit> {
    // A module behind another card has no way to name its driver here, nor to be trusted with it.
    let is_virtio = options.net.as_ref().is_none_or(Network::is_virtio);
    ensure!(is_virtio, "`--net` with a card that is not virtio's, expected one of virtio's here; leave `model=` out");
    let kernel = embedded::kernel()?;
    let files = InputFiles { blobs: blobs(options)?, ..InputFiles::default() };
    let blobs = files.blobs.iter().map(|(_, bytes)| bytes.as_slice());
    let into = options.into.as_deref().map(|name| number_of(name, &files)).transpose()?;
    let machine = format!("{into:?} {:?}", options.net);
    let fingerprint = crc32c(&[kernel, machine.as_bytes()].into_iter().chain(blobs).collect::<Vec<_>>());
    let domain = options.domain.name();
    let path = options
        .state
        .clone()
        .unwrap_or_else(|| PathBuf::from("target").join("inject").join(format!("{domain}-{}.json", options.seed)));
    let state = CampaignState::load(&path, fingerprint, options.seed, domain)?;
    let pieces = state.missing(options.count, PIECE);
    let progress = progress_bar(Some(options.count), "{pos}/{len} {wide_bar} {rate} {eta}");
    progress.inc(options.count - pieces.iter().map(|(_, length)| length).sum::<u64>());
    let work = CampaignRun {
        seed: options.seed,
        domain: options.domain,
        into,
        net: options.net.clone(),
        files,
        path,
        progress,
        state: Mutex::new((state, pieces)),
    };
    let jobs = options.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(|| work.run())).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Err(anyhow!("a worker panicked"))))
    })?;
    work.progress.finish_and_clear();
    let tally = work.lock().0.tally(options.count);
    show(options, domain, &tally);
    if let Some(json) = &options.json {
        write_json(json, &Summary { seed: options.seed, count: options.count, domain, tally: &tally })?;
    }
    // A module in ring 0 can end the kernel; one in ring 3 can't.
    let survived = tally.kernel_lost == 0 || domain == "kernel";
    Ok(if survived && tally.recovered + tally.kernel_lost == tally.manifested { Exit::Passed } else { Exit::Failed })
}

/// Returns the number of the file whose module has this name. The last one is not disturbed, as it is called.
fn number_of(name: &str, files: &InputFiles) -> Result<u8> {
    let is_named = |bytes: &[u8]| RawModule::parse(bytes).is_ok_and(|raw| raw.header().name_bytes() == name.as_bytes());
    let found = files.blobs.iter().position(|(_, bytes)| is_named(bytes));
    let number = found.filter(|number| number + 1 < files.blobs.len());
    let number = number.and_then(|number| u8::try_from(number).ok());
    number.ok_or_else(|| {
        anyhow!("`--into {name}`: no such module before the last file, expected one of those that the last one uses")
    })
}

/// Returns the blobs to disturb, with their names.
fn blobs(options: &InjectOptions) -> Result<Vec<(String, Vec<u8>)>> {
    if !options.files.is_empty() {
        let last = options.files.len() - 1;
        let read = |(number, path): (usize, &PathBuf)| {
            let bytes = read_blob(path).map_err(|error| anyhow!("{}: {error}", path.display()))?;
            let label = label(path);
            let blob = if is_wasm(&bytes) { engines::compile(&options.engines, &label, &bytes)? } else { bytes };
            // What is no blob at all is refused by the loader.
            let is_called = options.into.is_none() || number == last;
            let has_no_run = RawModule::parse(&blob).is_ok_and(|raw| raw.header().flags & FLAG_NO_RUN != 0);
            ensure!(
                !is_called || !has_no_run,
                "{label}: it has no `run`, which a campaign calls; name a module that has"
            );
            Ok((label, blob))
        };
        return options.files.iter().enumerate().map(read).collect();
    }
    let four = Archive::read(embedded::MODULES).map_err(Error::msg)?.blobs;
    let four = four.iter().take(4).map(|blob| (blob.label.clone(), blob.bytes.to_vec()));
    let mut blobs: Vec<_> = four.flat_map(|blob| std::iter::repeat_n(blob, SHARE)).collect();
    let root = workspace::workspace_manifest()?;
    let module = module_at(&root.with_file_name("tests/modules/all-in-one/Cargo.toml"))?;
    let blob = build_module(&module, &module.target.join("test-modules"))?;
    blobs.push((blob.name, blob.bytes));
    Ok(blobs)
}

/// The state that the workers share.
struct CampaignRun {
    seed: u64,
    domain: Domain,
    /// The number of the one file that is disturbed.
    into: Option<u8>,
    net: Option<Network>,
    files: InputFiles,
    path: PathBuf,
    progress: ProgressBar,
    /// The pieces that are done, and those that are left.
    state: Mutex<(CampaignState, Vec<(u64, u64)>)>,
}

impl CampaignRun {
    fn lock(&self) -> std::sync::MutexGuard<'_, (CampaignState, Vec<(u64, u64)>)> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Runs pieces until none is left.
    fn run(&self) -> Result<()> {
        loop {
            let Some((first, length)) = self.lock().1.pop() else { return Ok(()) };
            let tally = self.piece(first, length)?;
            let mut state = self.lock();
            state.0.pieces.insert(first, (length, tally));
            state.0.save(&self.path)?;
        }
    }

    /// Runs one piece, in as many boots as it takes.
    fn piece(&self, first: u64, length: u64) -> Result<Tally> {
        let mut tally = Tally::default();
        while tally.injected < length {
            let start = first + tally.injected;
            let machine = Machine {
                icount: true,
                timeout: Duration::from_secs(3600),
                patience: Some(TIMEOUT),
                options: KernelOptions {
                    task: Task::Rig(Rig::Inject(Campaign {
                        seed: self.seed,
                        first: start,
                        count: length - tally.injected,
                        into: self.into,
                    })),
                    timing: Timing::Fast,
                    load: LoadOptions { domain: self.domain, ..LoadOptions::DEFAULT },
                    ..KernelOptions::default()
                },
                files: self.files.clone(),
                network: self.net.clone(),
                ..Machine::new(embedded::KERNEL)
            };
            let before = tally.injected;
            let outcome = machine.run(|_| ())?;
            for message in &outcome.messages {
                if let Message::Injection(injection) = message {
                    tally.count(injection);
                }
            }
            let (is_begun, is_done) = (tally.injected > before, tally.injected >= length);
            match outcome.exit_reason {
                // A kernel that lives and can't go on is not lost: it says why.
                ExitReason::Failed if !is_begun || is_done && self.domain == Domain::User => {
                    return Err(refused(&outcome.console));
                }
                // A kernel that fails to start would otherwise be booted forever.
                ExitReason::Exited(Some(1..)) if !is_begun => {
                    return Err(outcome.into_report().err().unwrap_or_else(|| anyhow!("QEMU ended by itself")));
                }
                _ if !is_done => tally.count_lost(),
                _ => {}
            }
            self.progress.inc(tally.injected.min(length) - before);
        }
        Ok(tally)
    }
}

/// Returns the error for a campaign that a kernel did not go on with.
fn refused(console: &str) -> Error {
    let said = console.lines().rev().find(|line| line.contains("[ERROR]") || line.contains("modules right behind"));
    anyhow!("the kernel did not go on with the campaign: {}", said.unwrap_or("it does not say why").trim())
}

fn show(options: &InjectOptions, domain: &str, tally: &Tally) {
    let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
    say!("Fault campaign, seed {}, {domain} domain", options.seed);
    say!("  injected      {:>9}", tally.injected);
    say!("  manifested    {:>9}  {:.1} % of the injected", tally.manifested, share(tally.manifested, tally.injected));
    say!("  contained     {:>9}  ended in a typed fault", tally.contained);
    say!("  silent wrong  {:>9}  gave a wrong result", tally.silent_wrong);
    say!("  kernel lost   {:>9}", tally.kernel_lost);
    say!("  recovered     {:>9}  {:.1} % of the manifested", tally.recovered, share(tally.recovered, tally.manifested));
    say!("Theseus (Boos et al., OSDI 2020): 800,000 injected, 69 % of the manifested recovered");
    for (kind, count) in &tally.faults {
        say!("  {kind:<20} {count:>9}");
    }
    for (target, (injected, manifested)) in &tally.targets {
        say!("  {target:<9} {injected:>9} injected {manifested:>9} manifested");
    }
}
