//! Cases: calls of a module's exports, each with how it is to end.

use bareflow_loader::FaultKind;
use wasmparser::ValType;

/// A call of an exported function, or a look at an exported global.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The place in the source, for messages.
    pub place: String,
    /// The export.
    pub export: String,
    /// The arguments' bits.
    pub arguments: Vec<u64>,
    /// The end that is expected.
    pub end: End,
}

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A return, whatever the results are.
    Returns,
    /// A return of these results.
    ReturnsThese(Vec<Pattern>),
    /// A fault of this kind.
    Traps(FaultKind),
}

/// The bits of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The type; `None` for any reference, whose bits are 1 if it is null, and else 0.
    pub of: Option<ValType>,
    /// The bits that count: a NaN may stand for all of its class.
    pub mask: u64,
    /// The values of these bits.
    pub value: u64,
}

impl Pattern {
    /// Returns the pattern of exactly these bits.
    pub const fn exact(of: ValType, value: u64) -> Pattern {
        Pattern { of: Some(of), mask: u64::MAX, value }
    }

    /// Returns whether results of a type can match.
    pub fn fits(&self, value_type: ValType) -> bool {
        match (self.of, value_type) {
            (None, found) => matches!(found, ValType::Ref(_)),
            (Some(expected), found) => expected == found,
        }
    }
}

impl Case {
    /// Returns whether the call is to return.
    pub const fn returns(&self) -> bool {
        !matches!(self.end, End::Traps(_))
    }
}
