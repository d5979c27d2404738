//! The imports, over context and services.
//!
//! What a module passes is checked here, so that services see only addresses within its memory.
//!
//! ```text
//! transfer.rs    `input_read` and `output_write`
//! argument.rs    `argument_read` and `argument_write`
//! call.rs        `call`
//! invoke.rs      `invoke`
//! ```

mod argument;
mod call;
mod invoke;
mod transfer;

use core::mem::offset_of;

use bareflow_abi::Services;
use bareflow_portable::imports::Import;
use bareflow_portable::state::CALL_CONTEXT;
use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::types::{I32, I64};

use crate::emitter::Emitter;
use crate::routines::Routine;
use crate::runtime::ranges::range;
use crate::runtime::services::{CONTEXT, TRUSTED, call_service, field};
use crate::traps::UNREACHABLE;
use argument::Direction;

/// Emits the function that an import is.
pub(crate) fn emit_import(emit: &mut Emitter<'_, '_>, import: Import) {
    let context = emit.context_word(CALL_CONTEXT);
    let results = match import {
        Import::InputLength => {
            let length = emit.builder.ins().load(I64, TRUSTED, context, field(CONTEXT.input_length));
            Some(emit.builder.ins().ireduce(I32, length))
        }
        Import::InputRead => Some(transfer::input_read(emit, context)),
        Import::OutputWrite => Some(transfer::output_write(emit, context)),
        Import::Log => {
            let (text, length) = range(emit, 0, 1);
            call_service(emit, context, offset_of!(Services, log), &[I64, I64, I64], &[], &[context, text, length]);
            None
        }
        Import::Clock => call_service(emit, context, offset_of!(Services, clock), &[I64], &[I64], &[context]),
        Import::Panic => {
            let ((message, message_length), (file, file_length)) = (range(emit, 0, 1), range(emit, 2, 3));
            let line = emit.parameter(4);
            let line = emit.extend(line);
            emit.call_routine(Routine::Panic, &[message, message_length, file, file_length, line]);
            emit.builder.ins().trap(UNREACHABLE);
            return;
        }
        Import::OutOfHeap => {
            emit.call_routine(Routine::OutOfHeap, &[]);
            emit.builder.ins().trap(UNREACHABLE);
            return;
        }
        Import::Call => Some(call::call(emit, context)),
        Import::Invoke => Some(invoke::invoke(emit, context)),
        Import::ArgumentRead => Some(argument::copy(emit, context, Direction::Read)),
        Import::ArgumentWrite => Some(argument::copy(emit, context, Direction::Write)),
    };
    emit.builder.ins().return_(results.as_slice());
}
