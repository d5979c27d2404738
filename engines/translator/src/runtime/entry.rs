//! The blob's entry: what each reason calls.

use bareflow_abi::{CallError, Reason};
use bareflow_portable::sections::EntryFunctions;
use bareflow_portable::state::{CALL_CONTEXT, INSTANTIATED};
use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I32;

use super::blocks::{begin, branch};
use crate::emitter::Emitter;
use crate::routines::Routine;

/// Emits a function of the call's context and its reason.
pub(super) fn emit(emit: &mut Emitter<'_, '_>) {
    let (context, reason) = (emit.parameter(0), emit.parameter(1));
    let (data, flags) = (emit.data(), emit.context_flags());
    emit.builder.ins().store(flags, context, data, CALL_CONTEXT.cast_signed());
    if let Some(arguments) = emit.environment.plan.arguments {
        emit.builder.ins().store(flags, reason, data, arguments.reason.cast_signed());
    }
    match emit.environment.plan.entry_functions {
        EntryFunctions::Each { run, init, exit } => {
            // To run comes first: it is the call that counts.
            for (number, function) in [(Reason::Run, Some(run)), (Reason::Exit, exit)] {
                let Some(function) = function else { continue };
                let is_it = emit.builder.ins().icmp_imm_u(IntCC::Equal, reason, i64::from(number as u32));
                let (found, next) = branch(emit, is_it);
                begin(emit, found);
                call_and_return(emit, function, false);
                begin(emit, next);
            }
            initialize(emit, init, false);
            let no_such = -(CallError::NoSuchMethod as i32);
            return_number(emit, no_such);
        }
        EntryFunctions::One(entry) => {
            let is_run = emit.builder.ins().icmp_imm_u(IntCC::Equal, reason, i64::from(Reason::Run as u32));
            let (run, other) = branch(emit, is_run);
            begin(emit, run);
            call_and_return(emit, entry, true);
            begin(emit, other);
            initialize(emit, emit.environment.plan.wants_init.then_some(entry), true);
            let is_carry = emit.builder.ins().icmp_imm_u(IntCC::Equal, reason, i64::from(Reason::Carry as u32));
            let (carry, other) = branch(emit, is_carry);
            begin(emit, carry);
            return_number(emit, 0);
            begin(emit, other);
            call_and_return(emit, entry, true);
        }
    }
}

/// Emits what is done to initialise, for that reason: nothing if the instance is made already.
fn initialize(emit: &mut Emitter<'_, '_>, function: Option<u32>, takes_reason: bool) {
    let reason = emit.parameter(1);
    let is_init = emit.builder.ins().icmp_imm_u(IntCC::Equal, reason, i64::from(Reason::Init as u32));
    let (init, other) = branch(emit, is_init);
    begin(emit, init);
    let made = emit.context_word(INSTANTIATED);
    let (done, make) = branch(emit, made);
    begin(emit, done);
    return_number(emit, 0);
    begin(emit, make);
    emit.call_routine(Routine::Instantiate, &[]);
    match function {
        Some(function) => call_and_return(emit, function, takes_reason),
        None => return_number(emit, 0),
    }
    begin(emit, other);
}

/// Calls a function of the module, and returns its result.
fn call_and_return(emit: &mut Emitter<'_, '_>, function: u32, takes_reason: bool) {
    let reason = emit.parameter(1);
    let reference = emit.module_function(function);
    let call = emit.builder.ins().call(reference, if takes_reason { core::slice::from_ref(&reason) } else { &[] });
    let result = emit.builder.inst_results(call)[0];
    emit.builder.ins().return_(&[result]);
}

fn return_number(emit: &mut Emitter<'_, '_>, number: i32) {
    let number = emit.builder.ins().iconst(I32, i64::from(number.cast_unsigned()));
    emit.builder.ins().return_(&[number]);
}
