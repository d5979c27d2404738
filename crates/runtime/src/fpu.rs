//! The control words of the vector and x87 units around calls of other modules' code.

/// Assembly code that calls an operand with MXCSR and the x87 control word as a function expects them, and restores the
/// caller's afterwards (System V ABI 3.2.1).
///
/// The stack is aligned to 16 bytes. Other registers of these units need not be preserved.
#[macro_export]
macro_rules! call_with_initial_fpu {
    ($callee:literal) => {
        ::core::concat!(
            "sub rsp, 16
            stmxcsr [rsp]
            fnstcw [rsp + 4]
            mov dword ptr [rsp + 8], 0x1f80
            ldmxcsr [rsp + 8]
            fninit
            call ",
            $callee,
            // Clears the callee's pending exceptions, which the caller's control words might unmask.
            "
            fninit
            fldcw [rsp + 4]
            ldmxcsr [rsp]
            add rsp, 16"
        )
    };
}
