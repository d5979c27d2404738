//! What a kernel says of each injection of a fault campaign.

use alloc::string::String;

use serde::{Deserialize, Serialize};

/// What a bit was flipped in.
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
    /// All of them.
    pub const ALL: [Target; 5] = [Target::Text, Target::Rodata, Target::Data, Target::Stack, Target::Register];
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InjectionOutcome {
    /// Nothing: the module gave the right result.
    Masked,
    /// A wrong result.
    Wrong,
    /// A fault of that kind.
    Fault(String),
}

/// One injection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injection {
    /// Its number in the campaign.
    pub index: u64,
    /// The module, as the how-manieth blob it is.
    pub module: u8,
    /// What was hit.
    pub target: Target,
    /// What came of it.
    pub outcome: InjectionOutcome,
    /// Whether a fresh load of the module was right, where something came of it.
    pub recovered: bool,
}
