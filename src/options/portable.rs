//! The options for portable modules and their engines.

use std::path::PathBuf;

use bareflow_loader::Domain;
use bareflow_protocol::tier::{Portable, Tier};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::words::native_domain;

/// The options of the commands that load portable modules themselves, or boot a kernel that does.
#[derive(Debug, Args)]
pub struct PortableOptions {
    /// The engines.
    #[command(flatten)]
    pub engines: EngineOptions,
    /// The domain that the engines run in.
    #[arg(long, default_value = "user", value_parser = native_domain(), hide_possible_values = true, value_name = "kernel|user")]
    pub engine_domain: Domain,
    /// Compile without the guard against Spectre, and let interpreted and unguarded code into the sandbox, too: what a module
    /// makes the processor guess may then tell it what is in the kernel's memory.
    #[arg(long)]
    pub unguarded: bool,
    /// The tier.
    #[command(flatten)]
    pub tier: TierOptions,
    /// With the tier `auto`, leave tier 0 after N calls, and tier 1 after M; by default, a module leaves a tier once it has
    /// cost as much there as the next one's compilation takes.
    #[arg(long, value_name = "N,M", value_parser = calls)]
    pub tiers: Option<[u64; 2]>,
}

/// The engines of portable modules.
#[derive(Debug, Default, Args)]
pub struct EngineOptions {
    /// Take engines along, `compiler.mod` or `interpreter.mod` in FOLDER; for portable modules (.wasm), by default from
    /// target/engines of a checkout of BareFlow, where they are built the first time.
    #[arg(long = "engines", value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// The tier of portable modules.
#[derive(Debug, Default, Args)]
pub struct TierOptions {
    /// The way in which portable modules run; by default `auto`, or that of the module which is replaced.
    #[arg(long, value_name = "TIER", value_parser = tier())]
    pub tier: Option<Tier>,
}

impl PortableOptions {
    /// Warns of code without the guard.
    pub fn warn(&self) {
        if self.unguarded {
            crate::complain!(
                "--unguarded: a portable module may find out what is in the memory around it, by guesses of the processor"
            );
        }
    }

    /// Returns the options in the form of the protocol.
    #[must_use]
    pub fn portable(&self) -> Portable {
        Portable {
            tier: self.tier.tier.unwrap_or(Tier::Auto),
            calls: self.tiers,
            engine_domain: self.engine_domain,
            guard: !self.unguarded,
        }
    }
}

/// Reads the numbers of calls after which a module leaves its tiers.
fn calls(text: &str) -> Result<[u64; 2], String> {
    let numbers = text.split_once(',').and_then(|(first, second)| Some([first.parse().ok()?, second.parse().ok()?]));
    numbers.ok_or_else(|| format!("\"{text}\" is no pair of numbers, expected N,M as in 1000,10000"))
}

/// Returns the parser of a tier.
fn tier() -> impl TypedValueParser<Value = Tier> {
    let help = |tier| match tier {
        Tier::Interpreted => "Interpreted: starts at once",
        Tier::Quick => "Compiled quickly",
        Tier::Fast => "Compiled to fast code",
        Tier::Auto => "Interpreted at first, compiled once that pays",
    };
    let words = PossibleValuesParser::new(Tier::ALL.map(|tier| PossibleValue::new(tier.name()).help(help(tier))));
    words.try_map(|word| Tier::from_name(&word).ok_or("expected one of the words"))
}
