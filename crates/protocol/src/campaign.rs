//! A fault campaign: the part of it that a kernel runs, and its messages, one for each injection.

use alloc::string::String;

use serde::{Deserialize, Serialize};

/// A part of a fault campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    /// The seed of all random choices.
    pub seed: u64,
    /// The first injection's number.
    pub first: u64,
    /// The number of injections.
    pub count: u64,
    /// The number of the one blob whose module is disturbed, while the last one's is called, which uses it; `None` if each
    /// is called and disturbed by itself.
    pub into: Option<u8>,
}

/// The part of a module in which a bit is flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Code.
    Text,
    /// Constants.
    Rodata,
    /// Variables.
    Data,
    /// The stack in use.
    Stack,
    /// A register.
    Register,
}

impl Target {
    /// All targets.
    pub const ALL: [Target; 5] = [Target::Text, Target::Rodata, Target::Data, Target::Stack, Target::Register];
}

/// The outcome of an injection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InjectionOutcome {
    /// The module still gave the right result.
    Masked,
    /// The module gave a wrong result.
    Wrong,
    /// The module faulted; this is the fault's kind.
    Fault(String),
}

/// An injection of a bit flip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injection {
    /// The injection's number in the campaign.
    pub index: u64,
    /// The module, as the index of its blob.
    pub module: u8,
    /// The part that was hit.
    pub target: Target,
    /// The outcome of the module's call.
    pub outcome: InjectionOutcome,
    /// Whether a fresh load of the module gave the right result, if the injection had an effect.
    pub recovered: bool,
}
