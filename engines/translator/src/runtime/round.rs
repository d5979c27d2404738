//! Rounding, for processors without SSE4.1.
//!
//! A number below 2^23 (2^52) is rounded to the nearest integer, ties to even, by adding and subtracting that; from there on
//! all numbers are integers. The other directions correct the result by one.

use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::{InstBuilder, Value};

use crate::emitter::Emitter;
use crate::routines::{Float, Rounding};

fn constant(emit: &mut Emitter<'_, '_>, float: Float, single: u32, double: u64) -> Value {
    match float {
        Float::F32 => emit.builder.ins().f32const(Ieee32::with_bits(single)),
        Float::F64 => emit.builder.ins().f64const(Ieee64::with_bits(double)),
    }
}

/// Emits a function of one number.
pub(super) fn emit(emit: &mut Emitter<'_, '_>, rounding: Rounding, float: Float) {
    let value = emit.parameter(0);
    let zero = constant(emit, float, 0, 0);
    let one = constant(emit, float, 1.0_f32.to_bits(), 1.0_f64.to_bits());
    let limit = constant(emit, float, 8_388_608.0_f32.to_bits(), 4_503_599_627_370_496.0_f64.to_bits());
    let magnitude = emit.builder.ins().fabs(value);
    let shifted = emit.builder.ins().fadd(magnitude, limit);
    let nearest = emit.builder.ins().fsub(shifted, limit);
    let rounded = match rounding {
        Rounding::Nearest => nearest,
        Rounding::Trunc => {
            let is_above = emit.builder.ins().fcmp(FloatCC::GreaterThan, nearest, magnitude);
            let correction = emit.builder.ins().select(is_above, one, zero);
            emit.builder.ins().fsub(nearest, correction)
        }
        Rounding::Floor => {
            let signed = emit.builder.ins().fcopysign(nearest, value);
            let is_above = emit.builder.ins().fcmp(FloatCC::GreaterThan, signed, value);
            let correction = emit.builder.ins().select(is_above, one, zero);
            emit.builder.ins().fsub(signed, correction)
        }
        Rounding::Ceil => {
            let signed = emit.builder.ins().fcopysign(nearest, value);
            let is_below = emit.builder.ins().fcmp(FloatCC::LessThan, signed, value);
            let correction = emit.builder.ins().select(is_below, one, zero);
            emit.builder.ins().fadd(signed, correction)
        }
    };
    let rounded = emit.builder.ins().fcopysign(rounded, value);
    // A number that is an integer already stays, infinities do, too, and a NaN becomes a quiet one.
    let kept = emit.builder.ins().fadd(value, zero);
    let is_small = emit.builder.ins().fcmp(FloatCC::LessThan, magnitude, limit);
    let result = emit.builder.ins().select(is_small, rounded, kept);
    emit.builder.ins().return_(&[result]);
}
