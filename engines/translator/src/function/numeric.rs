//! Constants, arithmetic, comparisons and conversions.

use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::immediates::{Ieee32, Ieee64};
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64};
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, Type, Value};
use cranelift_frontend::FuncInstBuilder;
use wasmparser::Operator;

use super::Translator;

/// Matches an operator against families: `Operator | .. => instruction` each, by the number of operands.
macro_rules! families {
    ($self:ident, $operator:ident,
        unary { $($($one:ident)|+ => $unary:ident,)* }
        binary { $($($two:ident)|+ => $binary:ident,)* }
        integer_comparisons { $($($integer:ident)|+ => $condition:ident,)* }
        float_comparisons { $($($float:ident)|+ => $order:ident,)* }
        conversions { $($from:ident => $convert:ident($to:ident),)* }
        narrow_extensions { $($narrow:ident => $middle:ident to $wide:ident,)* }
        reinterpretations { $($bits:ident => $as:ident,)* }
    ) => {
        match *$operator {
            $($(Operator::$one)|+ => $self.unary(|ins, value| ins.$unary(value)),)*
            $($(Operator::$two)|+ => $self.binary(|ins, one, two| ins.$binary(one, two)),)*
            $($(Operator::$integer)|+ => $self.compare(|ins, one, two| ins.icmp(IntCC::$condition, one, two)),)*
            $($(Operator::$float)|+ => $self.compare(|ins, one, two| ins.fcmp(FloatCC::$order, one, two)),)*
            $(Operator::$from => $self.unary(|ins, value| ins.$convert($to, value)),)*
            $(Operator::$narrow => $self.extend_narrow($middle, $wide),)*
            $(Operator::$bits => $self.unary(|ins, value| ins.bitcast($as, MemFlagsData::new(), value)),)*
            _ => return false,
        }
    };
}

impl Translator<'_, '_> {
    /// Translates an operator on numbers. Returns `false` for others.
    pub(super) fn numeric(&mut self, operator: &Operator<'_>) -> bool {
        match *operator {
            Operator::I32Const { value } => {
                let value = self.constant(value.cast_unsigned());
                self.push(value);
            }
            Operator::I64Const { value } => {
                let value = self.emit.builder.ins().iconst(I64, value);
                self.push(value);
            }
            Operator::F32Const { value } => {
                let value = self.emit.builder.ins().f32const(Ieee32::with_bits(value.bits()));
                self.push(value);
            }
            Operator::F64Const { value } => {
                let value = self.emit.builder.ins().f64const(Ieee64::with_bits(value.bits()));
                self.push(value);
            }
            Operator::I32Eqz | Operator::I64Eqz => {
                let value = self.pop();
                let is_zero = self.emit.builder.ins().icmp_imm_u(IntCC::Equal, value, 0);
                let is_zero = self.emit.builder.ins().uextend(I32, is_zero);
                self.push(is_zero);
            }
            _ => return self.operation(operator),
        }
        true
    }

    fn operation(&mut self, operator: &Operator<'_>) -> bool {
        families! { self, operator,
            unary {
                I32Clz | I64Clz => clz,
                I32Ctz | I64Ctz => ctz,
                I32Popcnt | I64Popcnt => popcnt,
                F32Abs | F64Abs => fabs,
                F32Neg | F64Neg => fneg,
                F32Ceil | F64Ceil => ceil,
                F32Floor | F64Floor => floor,
                F32Trunc | F64Trunc => trunc,
                F32Nearest | F64Nearest => nearest,
                F32Sqrt | F64Sqrt => sqrt,
            }
            binary {
                I32Add | I64Add => iadd,
                I32Sub | I64Sub => isub,
                I32Mul | I64Mul => imul,
                I32DivS | I64DivS => sdiv,
                I32DivU | I64DivU => udiv,
                I32RemS | I64RemS => srem,
                I32RemU | I64RemU => urem,
                I32And | I64And => band,
                I32Or | I64Or => bor,
                I32Xor | I64Xor => bxor,
                I32Shl | I64Shl => ishl,
                I32ShrS | I64ShrS => sshr,
                I32ShrU | I64ShrU => ushr,
                I32Rotl | I64Rotl => rotl,
                I32Rotr | I64Rotr => rotr,
                F32Add | F64Add => fadd,
                F32Sub | F64Sub => fsub,
                F32Mul | F64Mul => fmul,
                F32Div | F64Div => fdiv,
                F32Min | F64Min => fmin,
                F32Max | F64Max => fmax,
                F32Copysign | F64Copysign => fcopysign,
            }
            integer_comparisons {
                I32Eq | I64Eq => Equal,
                I32Ne | I64Ne => NotEqual,
                I32LtS | I64LtS => SignedLessThan,
                I32LtU | I64LtU => UnsignedLessThan,
                I32GtS | I64GtS => SignedGreaterThan,
                I32GtU | I64GtU => UnsignedGreaterThan,
                I32LeS | I64LeS => SignedLessThanOrEqual,
                I32LeU | I64LeU => UnsignedLessThanOrEqual,
                I32GeS | I64GeS => SignedGreaterThanOrEqual,
                I32GeU | I64GeU => UnsignedGreaterThanOrEqual,
            }
            float_comparisons {
                F32Eq | F64Eq => Equal,
                F32Ne | F64Ne => NotEqual,
                F32Lt | F64Lt => LessThan,
                F32Gt | F64Gt => GreaterThan,
                F32Le | F64Le => LessThanOrEqual,
                F32Ge | F64Ge => GreaterThanOrEqual,
            }
            conversions {
                I32WrapI64 => ireduce(I32),
                I64ExtendI32S => sextend(I64),
                I64ExtendI32U => uextend(I64),
                I32TruncF32S => fcvt_to_sint(I32),
                I32TruncF64S => fcvt_to_sint(I32),
                I64TruncF32S => fcvt_to_sint(I64),
                I64TruncF64S => fcvt_to_sint(I64),
                I32TruncF32U => fcvt_to_uint(I32),
                I32TruncF64U => fcvt_to_uint(I32),
                I64TruncF32U => fcvt_to_uint(I64),
                I64TruncF64U => fcvt_to_uint(I64),
                I32TruncSatF32S => fcvt_to_sint_sat(I32),
                I32TruncSatF64S => fcvt_to_sint_sat(I32),
                I64TruncSatF32S => fcvt_to_sint_sat(I64),
                I64TruncSatF64S => fcvt_to_sint_sat(I64),
                I32TruncSatF32U => fcvt_to_uint_sat(I32),
                I32TruncSatF64U => fcvt_to_uint_sat(I32),
                I64TruncSatF32U => fcvt_to_uint_sat(I64),
                I64TruncSatF64U => fcvt_to_uint_sat(I64),
                F32ConvertI32S => fcvt_from_sint(F32),
                F32ConvertI64S => fcvt_from_sint(F32),
                F64ConvertI32S => fcvt_from_sint(F64),
                F64ConvertI64S => fcvt_from_sint(F64),
                F32ConvertI32U => fcvt_from_uint(F32),
                F32ConvertI64U => fcvt_from_uint(F32),
                F64ConvertI32U => fcvt_from_uint(F64),
                F64ConvertI64U => fcvt_from_uint(F64),
                F32DemoteF64 => fdemote(F32),
                F64PromoteF32 => fpromote(F64),
            }
            narrow_extensions {
                I32Extend8S => I8 to I32,
                I32Extend16S => I16 to I32,
                I64Extend8S => I8 to I64,
                I64Extend16S => I16 to I64,
                I64Extend32S => I32 to I64,
            }
            reinterpretations {
                I32ReinterpretF32 => I32,
                I64ReinterpretF64 => I64,
                F32ReinterpretI32 => F32,
                F64ReinterpretI64 => F64,
            }
        }
        true
    }

    fn unary(&mut self, emit: impl FnOnce(FuncInstBuilder<'_, '_>, Value) -> Value) {
        let value = self.pop();
        let value = emit(self.emit.builder.ins(), value);
        self.push(value);
    }

    fn binary(&mut self, emit: impl FnOnce(FuncInstBuilder<'_, '_>, Value, Value) -> Value) {
        let [one, two] = self.pop_array();
        let value = emit(self.emit.builder.ins(), one, two);
        self.push(value);
    }

    fn compare(&mut self, emit: impl FnOnce(FuncInstBuilder<'_, '_>, Value, Value) -> Value) {
        self.binary(emit);
        self.unary(|ins, is_true| ins.uextend(I32, is_true));
    }

    fn extend_narrow(&mut self, middle: Type, wide: Type) {
        self.unary(|ins, value| ins.ireduce(middle, value));
        self.unary(|ins, value| ins.sextend(wide, value));
    }
}
