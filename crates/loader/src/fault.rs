//! The kinds of faults that end a module's call.

use core::fmt;

macro_rules! fault_kinds {
    ($($(#[$doc:meta])+ $kind:ident = $name:literal,)+) => {
        /// The kind of a fault.
        // A whole word, so that a `Result` that may hold a fault has no padding. Padding would be copied in overlapping
        // pieces, which stalls every call by some 20 ticks.
        #[repr(u64)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FaultKind {
            $($(#[$doc])+ $kind,)+
        }

        impl FaultKind {
            /// All kinds.
            pub const ALL: &[FaultKind] = &[$(FaultKind::$kind),+];

            /// The name in reports: lower case, with underscores.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(FaultKind::$kind => $name,)+
                }
            }
        }
    };
}

fault_kinds! {
    /// Division by zero, or a quotient that does not fit.
    Divide = "divide",
    /// A breakpoint instruction.
    Breakpoint = "breakpoint",
    /// An instruction that does not exist or is not available.
    InvalidOpcode = "invalid_opcode",
    /// A privileged instruction, a non-canonical address, a bad segment.
    GeneralProtection = "general_protection",
    /// A read of memory that may not be read.
    PageRead = "page_read",
    /// A write to memory that may not be written.
    PageWrite = "page_write",
    /// A jump to memory that may not be executed.
    PageExecute = "page_execute",
    /// An unaligned access where alignment is required.
    Alignment = "alignment",
    /// The stack ran into its guard page.
    StackOverflow = "stack_overflow",
    /// An unmasked SSE exception.
    Simd = "simd",
    /// An unmasked x87 exception.
    X87 = "x87",
    /// The call took longer than its budget.
    TimeBudget = "time_budget",
    /// The heap's budget is used up.
    HeapBudget = "heap_budget",
    /// The module panicked.
    Panic = "panic",
    /// A register that a function must preserve came back changed.
    ClobberedRegister = "clobbered_register",
    /// A service was called with arguments that the module may not pass.
    BadServiceArgument = "bad_service_argument",
    /// A non-maskable interrupt ended the call.
    NonMaskable = "non_maskable",
    /// No handler of the module returned for as long as its watchdog waits.
    Watchdog = "watchdog",
}

impl FaultKind {
    /// Returns whether the module itself reports this kind, by an instruction in its panic handler or its allocator.
    ///
    /// The function to blame is then not the one with that instruction, but one that called it.
    #[must_use]
    pub const fn is_modules_own_word(self) -> bool {
        matches!(self, FaultKind::Panic | FaultKind::HeapBudget)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A fault that ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kind of the fault.
    pub kind: FaultKind,
    /// The offset of the faulting instruction from the image's base, in bytes; `None` if execution had left the image.
    pub offset: Option<u64>,
    /// The address that was accessed, if the kind has one.
    pub address: Option<u64>,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.kind)?;
        match self.offset {
            Some(offset) => write!(formatter, " at offset {offset:#x}")?,
            // It is between two calls.
            None if self.kind == FaultKind::Watchdog => {}
            None => formatter.write_str(" outside the module")?,
        }
        match self.address {
            Some(address) => write!(formatter, ", address {address:#x}"),
            None => Ok(()),
        }
    }
}
