//! The fault campaign: flips single bits of modules while they run, and records the outcomes.
//! The modules come in the boot archive. Each injection depends only on the seed and its own number, so a campaign can be
//! split into parts and resumed.

mod plan;
mod within;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_containment::timer;
use bareflow_loader::{Budget, ExecuteError, LoadOptions};
use bareflow_protocol::Message;
use bareflow_protocol::campaign::{Campaign, Injection, InjectionOutcome, Target};
use bareflow_suite::archive::Archive;
use bareflow_suite::line;

use crate::console::KernelConsole;
use crate::containment::Manager;
use crate::serial::{COM2, Serial};
use plan::{Plan, STEPPED, When, carry_out};

/// The bytes of stack a module gets: mapping more takes longer than most calls.
const STACK: u32 = 16 << 10;

/// The most bytes of output a module may write.
const OUTPUT: usize = 4096;

/// The factor by which a call may exceed its usual time, and the counts of the timer it may take besides.
const PERIOD_FACTOR: u64 = 4;
const PERIOD_EXTRA_COUNTS: u64 = 20_000;

/// A module, and what it does when nothing is disturbed.
struct Golden<'blob> {
    blob: &'blob [u8],
    result: i32,
    output: Vec<u8>,
    /// The timer's counts during a call.
    counts: u64,
    /// The number of instructions of a call; 0 for [`STEPPED`] or more.
    steps: u64,
}

/// Runs a part of a campaign and returns whether the modules are right afterwards.
pub fn run(manager: &Manager, archive: &Archive<'_>, load: &LoadOptions, campaign: Campaign) -> bool {
    inject(manager, archive, load, campaign).unwrap_or_else(|error| {
        line!(&KernelConsole, Error, "[ERROR] {error}");
        false
    })
}

fn inject(manager: &Manager, archive: &Archive<'_>, load: &LoadOptions, campaign: Campaign) -> Result<bool, String> {
    plan::install();
    if let Some(number) = campaign.into {
        return within::inject(manager, archive, load, campaign, number.into());
    }
    // The shortest time budget, since the timer ticks faster than usual here.
    let limits = Budget { time_us: 1, stack_bytes: load.limits.stack_bytes.min(STACK), ..load.limits };
    let load = LoadOptions { limits, ..*load };
    let mut golden = Vec::new();
    for blob in &archive.blobs {
        golden.push(measure(manager, blob.bytes, &load)?);
    }
    let mut host = Serial::open(COM2);
    for index in campaign.first..campaign.first.saturating_add(campaign.count) {
        let injection = inject_one(manager, &golden, &load, campaign.seed, index)?;
        host.send(&Message::Injection(injection).to_frame());
    }
    host.flush();
    let right = golden.iter().all(|module| run_clean(manager, module, &load) == Ok(true));
    line!(&KernelConsole, Plain, "{} injections, modules right behind them: {right}", campaign.count);
    Ok(right)
}

/// Runs a module undisturbed: twice with the timer, since the very first call is slower, and once step by step.
fn measure<'blob>(manager: &Manager, blob: &'blob [u8], load: &LoadOptions) -> Result<Golden<'blob>, String> {
    let mut golden = Golden { blob, result: 0, output: Vec::new(), counts: 0, steps: 0 };
    for when in [When::Timed, When::Timed, When::Never(0)] {
        let id = manager.load_with(blob, load).map_err(|error| error.to_string())?;
        let mut output = alloc::vec![0; OUTPUT];
        timer::stop();
        let (outcome, plan) =
            carry_out(manager, id, Plan { when, ..Plan::NOTHING }, || manager.execute_with(id, b"", &mut output));
        match plan.map(|plan| plan.when) {
            Some(When::Timed) => golden.counts = timer::counted(),
            Some(When::Never(steps)) => golden.steps = Some(steps).filter(|&steps| steps < STEPPED).unwrap_or(0),
            _ => {}
        }
        let outcome = outcome.map_err(|error| error.to_string())?;
        output.truncate(outcome.output_length);
        (golden.result, golden.output) = (outcome.result, output);
        manager.unload(id).map_err(|error| error.to_string())?;
    }
    Ok(golden)
}

/// Makes one injection and returns its outcome.
fn inject_one(
    manager: &Manager,
    golden: &[Golden<'_>],
    load: &LoadOptions,
    seed: u64,
    index: u64,
) -> Result<Injection, String> {
    let mut random = SplitMix::of(seed, index);
    let number = random.below(golden.len() as u64) as usize;
    let module = golden.get(number).ok_or("no blobs in the boot archive, expected those to disturb")?;
    let mut plan = Plan {
        when: if module.steps > 0 {
            When::Steps(random.below(module.steps))
        } else {
            When::Counts(random.below(module.counts))
        },
        target: Target::ALL[random.below(Target::ALL.len() as u64) as usize],
        place: random.next(),
        bit: random.next(),
        period: module.counts * PERIOD_FACTOR + PERIOD_EXTRA_COUNTS,
        ..Plan::NOTHING
    };
    loop {
        let (outcome, target) = disturb(manager, module, load, plan)?;
        if let Some(target) = target {
            let manifested = !matches!(outcome, InjectionOutcome::Masked);
            let recovered = manifested && run_clean(manager, module, load)?;
            return Ok(Injection { index, module: number as u8, target, outcome, recovered });
        }
        // The call ended before the time of the flip: try an earlier one.
        match &mut plan.when {
            When::Steps(number) | When::Counts(number) => *number /= 2,
            When::Never(_) | When::Timed => return Err("the plan has no time".to_string()),
        }
    }
}

/// Loads `module` afresh, calls it and disturbs it as planned. Returns what was actually hit, if anything was.
fn disturb(
    manager: &Manager,
    module: &Golden<'_>,
    load: &LoadOptions,
    plan: Plan,
) -> Result<(InjectionOutcome, Option<Target>), String> {
    let id = manager.load_with(module.blob, load).map_err(|error| error.to_string())?;
    let mut output = alloc::vec![0; OUTPUT];
    let (result, plan) = carry_out(manager, id, plan, || manager.execute_with(id, b"", &mut output));
    timer::stop();
    let target = plan.filter(|plan| plan.done).map(|plan| plan.target);
    let outcome = match result {
        Ok(outcome) => {
            let written = output.get(..outcome.output_length).unwrap_or_default();
            let right = outcome.result == module.result && written == module.output;
            if right { InjectionOutcome::Masked } else { InjectionOutcome::Wrong }
        }
        Err(ExecuteError::Faulted(fault)) => InjectionOutcome::Fault(fault.kind.name().to_string()),
        Err(error) => return Err(error.to_string()),
    };
    manager.unload(id).map_err(|error| error.to_string())?;
    Ok((outcome, target))
}

/// Returns whether a fresh load of `module` gives the usual result and output.
fn run_clean(manager: &Manager, module: &Golden<'_>, load: &LoadOptions) -> Result<bool, String> {
    let id = manager.load_with(module.blob, load).map_err(|error| error.to_string())?;
    let mut output = alloc::vec![0; OUTPUT];
    let outcome = manager.execute_with(id, b"", &mut output);
    manager.unload(id).map_err(|error| error.to_string())?;
    Ok(outcome.is_ok_and(|outcome| {
        outcome.result == module.result && output.get(..outcome.output_length) == Some(&module.output)
    }))
}

/// Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014.
struct SplitMix(u64);

impl SplitMix {
    /// The numbers of one injection.
    const fn of(seed: u64, index: u64) -> SplitMix {
        SplitMix(seed ^ index.wrapping_mul(0xd134_2543_de82_ef95))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, or 0.
    fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }
}
