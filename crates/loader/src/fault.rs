//! The kinds of faults that end a module's call.

use core::fmt;

use bareflow_abi::traps::{TrapKind, Traps};

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
    /// WebAssembly's `unreachable`.
    WasmUnreachable = "wasm_unreachable",
    /// An access outside of a WebAssembly memory.
    WasmOutOfBoundsMemoryAccess = "wasm_out_of_bounds_memory_access",
    /// An access outside of a WebAssembly table.
    WasmOutOfBoundsTableAccess = "wasm_out_of_bounds_table_access",
    /// An indirect call by a null element of a WebAssembly table.
    WasmUninitializedElement = "wasm_uninitialized_element",
    /// An indirect call of a WebAssembly function of another type.
    WasmIndirectCallTypeMismatch = "wasm_indirect_call_type_mismatch",
    /// A division by zero in WebAssembly.
    WasmIntegerDivideByZero = "wasm_integer_divide_by_zero",
    /// An integer that does not fit in WebAssembly.
    WasmIntegerOverflow = "wasm_integer_overflow",
    /// A conversion of NaN to an integer in WebAssembly.
    WasmInvalidConversionToInteger = "wasm_invalid_conversion_to_integer",
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

impl From<TrapKind> for FaultKind {
    fn from(kind: TrapKind) -> FaultKind {
        match kind {
            TrapKind::Unreachable => FaultKind::WasmUnreachable,
            TrapKind::OutOfBoundsMemoryAccess => FaultKind::WasmOutOfBoundsMemoryAccess,
            TrapKind::OutOfBoundsTableAccess => FaultKind::WasmOutOfBoundsTableAccess,
            TrapKind::UninitializedElement => FaultKind::WasmUninitializedElement,
            TrapKind::IndirectCallTypeMismatch => FaultKind::WasmIndirectCallTypeMismatch,
            TrapKind::IntegerDivideByZero => FaultKind::WasmIntegerDivideByZero,
            TrapKind::IntegerOverflow => FaultKind::WasmIntegerOverflow,
            TrapKind::InvalidConversionToInteger => FaultKind::WasmInvalidConversionToInteger,
        }
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

impl Fault {
    /// Returns the fault under the kind that the list `traps` has for its place, if there is one and the processor's
    /// exception is one by which such a trap is raised.
    ///
    /// The list comes with the module. It names a fault, and neither makes nor averts one.
    #[must_use]
    pub(crate) fn at_trap_site(self, traps: &[u8]) -> Fault {
        let trap = self.offset.and_then(|offset| Traps::find(traps, offset));
        match (self.kind, trap) {
            (FaultKind::InvalidOpcode, Some(trap))
            | (FaultKind::Divide, Some(trap @ (TrapKind::IntegerDivideByZero | TrapKind::IntegerOverflow))) => {
                Fault { kind: trap.into(), ..self }
            }
            _ => self,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Trap sites at 0 (unreachable), 7 (division by zero) and 14 (overflow).
    const TRAPS: [u8; 3] = [0x00, 0x75, 0x76];

    fn at(kind: FaultKind, offset: u64) -> FaultKind {
        Fault { kind, offset: Some(offset), address: None }.at_trap_site(&TRAPS).kind
    }

    #[test]
    fn a_listed_trap_has_the_kind_of_the_list() {
        assert_eq!(at(FaultKind::InvalidOpcode, 0), FaultKind::WasmUnreachable);
        assert_eq!(at(FaultKind::InvalidOpcode, 7), FaultKind::WasmIntegerDivideByZero);
        assert_eq!(at(FaultKind::Divide, 7), FaultKind::WasmIntegerDivideByZero);
        assert_eq!(at(FaultKind::Divide, 14), FaultKind::WasmIntegerOverflow);
    }

    #[test]
    fn all_other_faults_stay_what_they_are() {
        assert_eq!(at(FaultKind::InvalidOpcode, 8), FaultKind::InvalidOpcode);
        // No division is unreachable.
        assert_eq!(at(FaultKind::Divide, 0), FaultKind::Divide);
        for &kind in FaultKind::ALL {
            let raised = matches!(kind, FaultKind::InvalidOpcode | FaultKind::Divide);
            assert!(raised || at(kind, 7) == kind, "{kind}");
            let outside = Fault { kind, offset: None, address: Some(7) };
            assert_eq!(outside.at_trap_site(&TRAPS), outside);
        }
    }

    #[test]
    fn each_trap_has_a_kind_of_its_own() {
        for (number, &trap) in TrapKind::ALL.iter().enumerate() {
            let kind = FaultKind::from(trap);
            assert!(kind.name().starts_with("wasm_"), "{kind}");
            assert!(TrapKind::ALL[..number].iter().all(|&other| FaultKind::from(other) != kind), "{kind}");
        }
    }
}
