//! Loads and stores.

use cranelift_codegen::ir::InstBuilder;
use cranelift_codegen::ir::types::{F32, F64, I32, I64};
use wasmparser::Operator;

use super::Translator;

/// Matches an operator against loads and stores: their sizes in bytes, and the instructions.
macro_rules! accesses {
    ($self:ident, $operator:ident,
        loads { $($load:ident => $size:literal $value:ident,)* }
        extending { $($extending:ident => $width:literal $extend:ident($($wide:ident)?),)* }
        stores { $($($store:ident)|+ => $bytes:literal $put:ident,)* }
    ) => {
        match $operator {
            $(Operator::$load { memarg } => {
                let (flags, address, offset) = $self.address(memarg, $size);
                let value = $self.emit.builder.ins().load($value, flags, address, offset);
                $self.push(value);
            })*
            $(Operator::$extending { memarg } => {
                let (flags, address, offset) = $self.address(memarg, $width);
                let value = $self.emit.builder.ins().$extend($($wide,)? flags, address, offset);
                $self.push(value);
            })*
            $($(Operator::$store { memarg })|+ => {
                let value = $self.pop();
                let (flags, address, offset) = $self.address(memarg, $bytes);
                $self.emit.builder.ins().$put(flags, value, address, offset);
            })*
            _ => return false,
        }
    };
}

impl Translator<'_, '_> {
    /// Translates a load or a store. Returns `false` for other operators.
    pub(super) fn access(&mut self, operator: &Operator<'_>) -> bool {
        accesses! { self, operator,
            loads {
                I32Load => 4 I32,
                I64Load => 8 I64,
                F32Load => 4 F32,
                F64Load => 8 F64,
            }
            extending {
                I32Load8S => 1 sload8(I32),
                I32Load8U => 1 uload8(I32),
                I32Load16S => 2 sload16(I32),
                I32Load16U => 2 uload16(I32),
                I64Load8S => 1 sload8(I64),
                I64Load8U => 1 uload8(I64),
                I64Load16S => 2 sload16(I64),
                I64Load16U => 2 uload16(I64),
                I64Load32S => 4 sload32(),
                I64Load32U => 4 uload32(),
            }
            stores {
                I32Store | F32Store => 4 store,
                I64Store | F64Store => 8 store,
                I32Store8 | I64Store8 => 1 istore8,
                I32Store16 | I64Store16 => 2 istore16,
                I64Store32 => 4 istore32,
            }
        }
        true
    }
}
