//! Grows the memory.

use core::mem::offset_of;

use bareflow_abi::Services;
use bareflow_portable::state::{CALL_CONTEXT, MEMORY_BYTES};
use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::isa::CallConv;

use super::services::load_service;
use crate::emitter::Emitter;
use crate::plan::MemoryPlacement;
use crate::signatures::signature;

/// Emits a function of a number of pages, which returns the old number of pages, or -1.
pub(super) fn emit_grow(emit: &mut Emitter<'_, '_>) {
    let pages = emit.parameter(0);
    let pages = emit.extend(pages);
    match emit.environment.plan.memory {
        MemoryPlacement::Window { .. } => {
            // The service keeps to the maximum, and updates the context's words.
            let context = emit.context_word(CALL_CONTEXT);
            let service = load_service(emit, context, offset_of!(Services, grow));
            let signature = emit.builder.import_signature(signature(CallConv::SystemV, &[I64, I64], &[I64]));
            let call = emit.builder.ins().call_indirect(signature, service, &[context, pages]);
            let before = emit.builder.inst_results(call)[0];
            let before = emit.builder.ins().ireduce(I32, before);
            emit.builder.ins().return_(&[before]);
        }
        MemoryPlacement::Bss { room_pages, .. } => {
            let bytes = emit.context_word(MEMORY_BYTES);
            let before = emit.builder.ins().ushr_imm_u(bytes, 16);
            let after = emit.builder.ins().iadd(before, pages);
            let fits = emit.builder.ins().icmp_imm_u(IntCC::UnsignedLessThanOrEqual, after, i64::from(room_pages));
            let grown = emit.builder.ins().ishl_imm_u(after, 16);
            let bytes = emit.builder.ins().select(fits, grown, bytes);
            let (data, flags) = (emit.data(), emit.context_flags());
            emit.builder.ins().store(flags, bytes, data, MEMORY_BYTES.cast_signed());
            let failed = emit.builder.ins().iconst(I32, i64::from(u32::MAX));
            let before = emit.builder.ins().ireduce(I32, before);
            let before = emit.builder.ins().select(fits, before, failed);
            emit.builder.ins().return_(&[before]);
        }
        MemoryPlacement::None => {
            let failed = emit.builder.ins().iconst(I32, i64::from(u32::MAX));
            emit.builder.ins().return_(&[failed]);
        }
    }
}
