//! How a module's call can go wrong.

use core::fmt;

macro_rules! fault_kinds {
    ($($(#[$doc:meta])+ $kind:ident = $name:literal,)+) => {
        /// What a module did, or what was done to it.
        // A whole word: a `Result` that may hold a fault then has no padding, which
        // would be copied in overlapping pieces and stall every call by some 20 ticks.
        #[repr(u64)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum FaultKind {
            $($(#[$doc])+ $kind,)+
        }

        impl FaultKind {
            /// Every kind.
            pub const ALL: &[FaultKind] = &[$(FaultKind::$kind),+];

            /// The name that reports use: lower case, with underscores.
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
    /// A read where nothing may be read.
    PageRead = "page_read",
    /// A write where nothing may be written.
    PageWrite = "page_write",
    /// A jump to where nothing may be executed.
    PageExecute = "page_execute",
    /// An unaligned access where alignment is demanded.
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
    /// A service was called with arguments that are not the module's to pass.
    BadServiceArgument = "bad_service_argument",
    /// A non-maskable interrupt broke the call off.
    NonMaskable = "non_maskable",
}

impl FaultKind {
    /// Whether a module ends so by an instruction of its panic handler or its allocator: then not the function that
    /// this is in is to blame, but one that called it.
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

/// The end of a call that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happened.
    pub kind: FaultKind,
    /// Where: the instruction's distance from the image's base, in bytes, or
    /// `None` when execution had left the image.
    pub offset: Option<u64>,
    /// The address that was accessed, where the kind has one.
    pub address: Option<u64>,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.kind)?;
        match self.offset {
            Some(offset) => write!(formatter, " at offset {offset:#x}")?,
            None => formatter.write_str(" outside the module")?,
        }
        match self.address {
            Some(address) => write!(formatter, ", address {address:#x}"),
            None => Ok(()),
        }
    }
}
