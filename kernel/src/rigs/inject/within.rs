//! A campaign into one module while another one uses it, such as a driver: it is disturbed during the calls that the other
//! makes of it, restarted, and used again, which must go as if nothing had been.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bareflow_containment::timer;
use bareflow_loader::{Budget, ExecuteError, FaultPolicy, LoadOptions, ModuleId};
use bareflow_protocol::Message;
use bareflow_protocol::campaign::{Campaign, Injection, InjectionOutcome, Target};
use bareflow_suite::archive::Archive;
use bareflow_suite::line;

use super::plan::{Plan, When, carry_out};
use super::{OUTPUT, PERIOD_EXTRA_COUNTS, PERIOD_FACTOR, SplitMix};
use crate::console::KernelConsole;
use crate::containment::Manager;
use crate::serial::{COM2, Serial};

/// The loaded modules, and the outcome of the user when nothing is disturbed.
struct Chain<'manager> {
    manager: &'manager Manager,
    /// The number of the disturbed module's blob, and that module.
    number: u8,
    disturbed: ModuleId,
    user: ModuleId,
    /// The user's result and output, and the timer's counts from its first call of the disturbed module to its end.
    right: Done,
    counts: u64,
}

/// The result and the output of a call.
#[derive(Default, PartialEq, Eq)]
struct Done {
    result: i32,
    output: Vec<u8>,
}

/// Makes a part of a campaign and returns whether the modules are right afterwards.
pub fn inject(
    manager: &Manager,
    archive: &Archive<'_>,
    load: &LoadOptions,
    campaign: Campaign,
    number: usize,
) -> Result<bool, String> {
    let chain = Chain::load(manager, archive, load, number)?;
    let mut host = Serial::open(COM2);
    for index in campaign.first..campaign.first.saturating_add(campaign.count) {
        let injection = chain.inject_one(&mut SplitMix::of(campaign.seed, index), index)?;
        host.send(&Message::Injection(injection).to_frame());
    }
    host.flush();
    let is_right = chain.call().is_ok_and(|done| done == chain.right);
    line!(&KernelConsole, Plain, "{} injections, modules right behind them: {is_right}", campaign.count);
    Ok(is_right)
}

impl<'manager> Chain<'manager> {
    /// Loads all modules, and lets the last one run undisturbed: the first call is slower than others.
    fn load(
        manager: &'manager Manager,
        archive: &Archive<'_>,
        load: &LoadOptions,
        number: usize,
    ) -> Result<Chain<'manager>, String> {
        // The shortest time budget, since the timer ticks faster than usual here, and blobs that are kept.
        let limits = Budget { time_us: 1, ..load.limits };
        let load = LoadOptions { limits, on_fault: FaultPolicy::RestartTimes(0), ..*load };
        let mut loaded = Vec::new();
        for blob in &archive.blobs {
            loaded.push(manager.load_with(blob.bytes, &load).map_err(|error| error.to_string())?);
        }
        let (Some(&disturbed), Some(&user)) = (loaded.get(number), loaded.last()) else {
            return Err("too few blobs in the boot archive, expected the one to disturb and its user".to_string());
        };
        let number = number as u8;
        let mut chain = Chain { manager, number, disturbed, user, right: Done::default(), counts: 0 };
        for _ in 0..2 {
            chain.start_anew()?;
            let plan = Plan { when: When::Timed, ..Plan::NOTHING };
            let (done, plan) = carry_out(manager, disturbed, plan, || chain.call());
            chain.counts = timer::counted();
            chain.right = done.map_err(|error| error.to_string())?;
            if !plan.is_some_and(|plan| plan.entered) {
                return Err("the last module does not call the one to disturb".to_string());
            }
        }
        match chain.right.result {
            ..0 => {
                Err(alloc::format!("undisturbed, the last module returns {}, expected no error", chain.right.result))
            }
            _ => Ok(chain),
        }
    }

    /// Gives both modules a fresh image, the user last.
    fn start_anew(&self) -> Result<(), String> {
        [self.disturbed, self.user]
            .iter()
            .try_for_each(|id| self.manager.restart(*id, None).map_err(|error| error.to_string()))
    }

    fn call(&self) -> Result<Done, ExecuteError> {
        let mut output = alloc::vec![0; OUTPUT];
        let outcome = self.manager.execute_with(self.user, b"", &mut output)?;
        output.truncate(outcome.output_length);
        Ok(Done { result: outcome.result, output })
    }

    /// Makes one injection and returns its outcome.
    fn inject_one(&self, random: &mut SplitMix, index: u64) -> Result<Injection, String> {
        let mut counts = random.below(self.counts);
        let plan = Plan {
            target: Target::ALL[random.below(Target::ALL.len() as u64) as usize],
            place: random.next(),
            bit: random.next(),
            period: self.counts * PERIOD_FACTOR + PERIOD_EXTRA_COUNTS,
            ..Plan::NOTHING
        };
        loop {
            let (outcome, target) = self.disturb(Plan { when: When::Counts(counts), ..plan });
            // All goes as before, on the device that the disturbed driver left.
            let started = self.start_anew();
            let recovered = started.is_ok() && self.call().is_ok_and(|done| done == self.right);
            self.start_anew()?;
            if let Some(target) = target {
                // What shows only afterwards is an effect, too.
                let outcome = match outcome {
                    InjectionOutcome::Masked if !recovered => InjectionOutcome::Wrong,
                    outcome => outcome,
                };
                let recovered = recovered && !matches!(outcome, InjectionOutcome::Masked);
                return Ok(Injection { index, module: self.number, target, outcome, recovered });
            }
            // The user ended before the time of the flip: try an earlier one.
            if counts == 0 {
                return Err("the disturbed module runs for too short a time".to_string());
            }
            counts /= 2;
        }
    }

    /// Calls the user, and disturbs the module as planned. Returns what was actually hit, if anything was.
    fn disturb(&self, plan: Plan) -> (InjectionOutcome, Option<Target>) {
        let faults = || self.manager.stats(self.disturbed).map_or(0, |profile| profile.faults);
        let before = faults();
        let (done, plan) = carry_out(self.manager, self.disturbed, plan, || self.call());
        timer::stop();
        let fault = self.manager.stats(self.disturbed).and_then(|profile| profile.fault);
        let outcome = match fault {
            Some(fault) if faults() > before => InjectionOutcome::Fault(fault.kind.name().to_string()),
            _ if done.is_ok_and(|done| done == self.right) => InjectionOutcome::Masked,
            _ => InjectionOutcome::Wrong,
        };
        (outcome, plan.filter(|plan| plan.done).map(|plan| plan.target))
    }
}
