//! Traps: the codes by which Cranelift notes them, and the sites that the loader knows them by.

use bareflow_abi::traps::{TrapKind, TrapSite};
use cranelift_codegen::MachTrap;
use cranelift_codegen::ir::TrapCode;

/// The trap codes that Cranelift does not have.
pub(crate) const UNREACHABLE: TrapCode = TrapCode::unwrap_user(1);
pub(crate) const TABLE_OUT_OF_BOUNDS: TrapCode = TrapCode::unwrap_user(2);
pub(crate) const UNINITIALIZED_ELEMENT: TrapCode = TrapCode::unwrap_user(3);
pub(crate) const TYPE_MISMATCH: TrapCode = TrapCode::unwrap_user(4);

/// The kind of each trap code.
const KINDS: [(TrapCode, TrapKind); TrapKind::ALL.len()] = [
    (UNREACHABLE, TrapKind::Unreachable),
    (TrapCode::HEAP_OUT_OF_BOUNDS, TrapKind::OutOfBoundsMemoryAccess),
    (TABLE_OUT_OF_BOUNDS, TrapKind::OutOfBoundsTableAccess),
    (UNINITIALIZED_ELEMENT, TrapKind::UninitializedElement),
    (TYPE_MISMATCH, TrapKind::IndirectCallTypeMismatch),
    (TrapCode::INTEGER_DIVISION_BY_ZERO, TrapKind::IntegerDivideByZero),
    (TrapCode::INTEGER_OVERFLOW, TrapKind::IntegerOverflow),
    (TrapCode::BAD_CONVERSION_TO_INTEGER, TrapKind::InvalidConversionToInteger),
];

/// The instruction of explicit traps.
const UD2: [u8; 2] = [0x0f, 0x0b];

/// Returns the trap code of a kind.
pub(crate) fn code_of(kind: TrapKind) -> TrapCode {
    KINDS.iter().find(|known| known.1 == kind).map_or(UNREACHABLE, |known| known.0)
}

/// Returns the site of a trap that the loader is to tell apart: a `ud2`, or a division.
pub(crate) fn site(trap: &MachTrap, start: u32, text: &[u8]) -> Option<TrapSite> {
    let offset = start + trap.offset;
    // The stack's probes fault by themselves, and so does an access that the window ends.
    let &(code, kind) = KINDS.iter().find(|known| known.0 == trap.code)?;
    let is_explicit = text[offset as usize..].starts_with(&UD2);
    (code != TrapCode::HEAP_OUT_OF_BOUNDS || is_explicit).then_some(TrapSite { offset, kind })
}
