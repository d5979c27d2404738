//! The kernel's command line: `key=value`, separated by spaces.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use bareflow_loader::{Domain, FaultPolicy, KernelDomain, LoadOptions, Permissions, Timing};

/// Whether the kernel has its test rigs.
const RIGS: bool = cfg!(feature = "rigs");

/// The options of the command line.
pub struct Options {
    /// The method by which the clock is read around calls.
    pub timing: Timing,
    /// The number of runs of every module except the four embedded ones.
    pub repeat: u32,
    /// Whether each module is called many times in a row at the end.
    pub batch: bool,
    /// The options by which modules are loaded.
    pub load: LoadOptions,
    /// Names of modules that are loaded into the other domain.
    pub other_domain: Vec<String>,
    /// Whether the serial console shows colours.
    pub colour: bool,
    /// Whether a clock tick is an instruction. Only the one who starts the machine knows.
    pub icount: bool,
    /// Whether the machine is halted at the end instead of left.
    pub halt: bool,
    /// Whether the kernel checks itself instead of running modules.
    pub selfcheck: bool,
    /// The number of times that each module of the boot archive is loaded and unloaded, and replaced, instead of run.
    pub soak: Option<u32>,
    /// Whether memory runs out at every possible point, as a test.
    pub exhaust: bool,
    /// Whether calls are recorded.
    pub record: bool,
    /// Whether the kernel stays up and answers clients.
    pub serve: bool,
    /// Whether the clients are on a virtio console instead of COM2.
    pub virtio: bool,
    /// The part of a fault campaign to run, if any.
    pub campaign: Option<Campaign>,
    /// The warnings about words that were not understood.
    pub warnings: Vec<String>,
}

impl Options {
    /// Reads a command line.
    pub fn read(line: &str) -> Options {
        let mut options = Options {
            timing: Timing::Precise,
            repeat: 1,
            batch: false,
            load: LoadOptions::default(),
            other_domain: Vec::new(),
            colour: false,
            icount: false,
            halt: false,
            selfcheck: false,
            record: false,
            serve: false,
            virtio: false,
            soak: None,
            exhaust: false,
            campaign: None,
            warnings: Vec::new(),
        };
        for word in line.split_ascii_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            if let Err(expected) = options.set(key, value) {
                options.warnings.push(format!("command line: \"{word}\", expected {expected}; it is passed over"));
            }
        }
        options
    }

    /// Sets one option, or returns what was expected.
    fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "timing" => self.timing = Timing::from_name(value).ok_or("timing=precise or timing=fast")?,
            "repeat" => {
                let number = value.parse().ok().filter(|&number| number > 0);
                self.repeat = number.ok_or("repeat=N with N from 1 to 4294967295")?;
            }
            "domain" => self.load.domain = Domain::from_name(value).ok_or("domain=kernel or domain=user")?,
            "elsewhere" => self.other_domain = value.split(',').map(String::from).collect(),
            "budget" => {
                let limits = self.load.limits.parse(value);
                self.load.limits = limits.map_err(|_| "budget=time=10ms,stack=16K,heap=1M,data=1M")?;
            }
            "onfault" => {
                self.load.on_fault =
                    FaultPolicy::parse(value).ok_or("onfault=stop, onfault=restart or onfault=restart:N")?;
            }
            "batch" => self.batch = flag(value, "1", "0", "batch=0 or batch=1")?,
            "sample" => self.load.sample_every = value.parse().map_err(|_| "sample=N with N from 1 to 4294967295")?,
            "allow" => {
                self.load.allowed =
                    Permissions::parse(value).map_err(|_| "allow=all, allow=none or allow=log,clock,call,heap")?
            }
            "color" => self.colour = flag(value, "1", "0", "color=0 or color=1")?,
            "clock" => self.icount = flag(value, "icount", "tsc", "clock=tsc or clock=icount")?,
            "exit" => self.halt = flag(value, "halt", "leave", "exit=leave or exit=halt")?,
            "selfcheck" if RIGS => self.selfcheck = flag(value, "1", "0", "selfcheck=0 or selfcheck=1")?,
            "exhaust" if RIGS => self.exhaust = flag(value, "1", "0", "exhaust=0 or exhaust=1")?,
            "soak" if RIGS => self.soak = Some(value.parse().map_err(|_| "soak=N")?),
            "record" if RIGS => self.record = flag(value, "1", "0", "record=0 or record=1")?,
            "serve" => self.serve = flag(value, "1", "0", "serve=0 or serve=1")?,
            "channel" => self.virtio = flag(value, "virtio", "com2", "channel=com2 or channel=virtio")?,
            "inject" if RIGS => self.campaign = Some(Campaign::read(value).ok_or("inject=SEED:FIRST:COUNT")?),
            _ => {
                return Err(
                    "timing, repeat, domain, elsewhere, budget, onfault, sample, batch, allow, color, clock, exit, selfcheck, soak, exhaust, record, serve, channel or inject",
                );
            }
        }
        Ok(())
    }
}

/// Returns the permission for blobs that the operator has run in the kernel domain.
pub const fn kernel_domain() -> KernelDomain {
    // SAFETY: the operator, who chooses the domain of each load, vouches for the blobs that are loaded into this one.
    unsafe { KernelDomain::trust_all_blobs() }
}

/// A part of a fault campaign.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(feature = "rigs"), expect(dead_code, reason = "a rig reads it"))]
pub struct Campaign {
    /// The seed of all random choices.
    pub seed: u64,
    /// The first injection's number.
    pub first: u64,
    /// The number of injections.
    pub count: u64,
}

impl Campaign {
    fn read(text: &str) -> Option<Campaign> {
        let mut parts = text.split(':').map(|part| part.parse().ok());
        let campaign = Campaign { seed: parts.next()??, first: parts.next()??, count: parts.next()?? };
        campaign.first.checked_add(campaign.count).filter(|_| parts.next().is_none()).map(|_| campaign)
    }
}

fn flag(value: &str, yes: &str, no: &str, expected: &'static str) -> Result<bool, &'static str> {
    if value == yes || value == no { Ok(value == yes) } else { Err(expected) }
}
