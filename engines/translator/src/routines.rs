//! The functions that code calls besides those of the module.

use cranelift_codegen::ir::LibCall;

/// A function of the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Routine {
    /// The blob's entry.
    Entry,
    /// Makes the instance.
    Instantiate,
    /// Copies bytes between places that may overlap: to, from, length.
    Copy,
    /// Fills bytes: to, byte, length.
    Fill,
    /// Fills elements: to, element, number.
    FillElements,
    /// Copies many bytes upwards, by the processor's instruction for it: to, from, length.
    CopyLong,
    /// Fills many bytes, by the processor's instruction for it: to, byte, length.
    FillLong,
    /// Grows the memory: pages. Returns the old number of pages, or -1.
    GrowMemory,
    /// Ends the call as a panic: message and length, file and length, line.
    Panic,
    /// Ends the call as one that used up its heap.
    OutOfHeap,
    /// Rounds, on processors without an instruction for it.
    Round(Rounding, Float),
}

/// A direction of rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rounding {
    Ceil,
    Floor,
    Trunc,
    Nearest,
}

/// A type of floating-point numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Float {
    F32,
    F64,
}

impl Routine {
    /// All but the roundings.
    pub const ALWAYS_NUMBERED: [Routine; 10] = [
        Routine::Entry,
        Routine::Instantiate,
        Routine::Copy,
        Routine::Fill,
        Routine::FillElements,
        Routine::CopyLong,
        Routine::FillLong,
        Routine::GrowMemory,
        Routine::Panic,
        Routine::OutOfHeap,
    ];

    /// Returns the routine by which Cranelift's library call is served.
    pub fn of_library_call(call: LibCall) -> Option<Routine> {
        use {Float::*, Rounding::*};
        Some(match call {
            LibCall::CeilF32 => Routine::Round(Ceil, F32),
            LibCall::CeilF64 => Routine::Round(Ceil, F64),
            LibCall::FloorF32 => Routine::Round(Floor, F32),
            LibCall::FloorF64 => Routine::Round(Floor, F64),
            LibCall::TruncF32 => Routine::Round(Trunc, F32),
            LibCall::TruncF64 => Routine::Round(Trunc, F64),
            LibCall::NearestF32 => Routine::Round(Nearest, F32),
            LibCall::NearestF64 => Routine::Round(Nearest, F64),
            _ => return None,
        })
    }

    /// Returns the name in lists of functions.
    pub const fn name(self) -> &'static str {
        match self {
            Routine::Entry => "entry",
            Routine::Instantiate => "instantiate",
            Routine::Copy | Routine::CopyLong => "memory.copy",
            Routine::Fill | Routine::FillLong => "memory.fill",
            Routine::FillElements => "table.fill",
            Routine::GrowMemory => "memory.grow",
            Routine::Panic => "panic",
            Routine::OutOfHeap => "out_of_heap",
            Routine::Round(Rounding::Ceil, _) => "ceil",
            Routine::Round(Rounding::Floor, _) => "floor",
            Routine::Round(Rounding::Trunc, _) => "trunc",
            Routine::Round(Rounding::Nearest, _) => "nearest",
        }
    }
}
