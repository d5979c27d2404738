//! The embedder's structures: the context of the call, and the services.

use bareflow_abi::Context;
use bareflow_abi::context::ContextOffsets;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value};
use cranelift_codegen::isa::CallConv;

use crate::emitter::Emitter;
use crate::signatures::signature;

/// The places of the context's fields.
pub(super) const CONTEXT: ContextOffsets = Context::OFFSETS;

/// The flags of accesses to the embedder's structures.
pub(super) const TRUSTED: MemFlagsData = MemFlagsData::trusted();

/// Returns an offset of a structure's field, which is small.
pub(super) const fn field(offset: usize) -> i32 {
    offset as i32
}

/// Loads the address of a service.
pub(super) fn load_service(emit: &mut Emitter<'_, '_>, context: Value, offset: usize) -> Value {
    let services = emit.builder.ins().load(I64, TRUSTED, context, field(CONTEXT.services));
    emit.builder.ins().load(I64, TRUSTED, services, field(offset))
}

/// Calls a service. Returns its first result, if it has one.
pub(super) fn call_service(
    emit: &mut Emitter<'_, '_>,
    context: Value,
    offset: usize,
    parameters: &[Type],
    results: &[Type],
    arguments: &[Value],
) -> Option<Value> {
    let service = load_service(emit, context, offset);
    let signature = emit.builder.import_signature(signature(CallConv::SystemV, parameters, results));
    let call = emit.builder.ins().call_indirect(signature, service, arguments);
    emit.builder.inst_results(call).first().copied()
}
