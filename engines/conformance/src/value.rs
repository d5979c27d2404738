//! Arguments and results.

use anyhow::{Result, bail};
use wasmparser::ValType;
use wast::core::{NanPattern, WastArgCore, WastRetCore};
use wast::{WastArg, WastRet};

/// Returns the bits of an argument.
pub fn bits_of(argument: &WastArg<'_>) -> Result<u64> {
    let WastArg::Core(argument) = argument else { bail!("an argument of a component") };
    Ok(match argument {
        WastArgCore::I32(value) => u64::from(value.cast_unsigned()),
        WastArgCore::I64(value) => value.cast_unsigned(),
        WastArgCore::F32(value) => u64::from(value.bits),
        WastArgCore::F64(value) => value.bits,
        WastArgCore::RefNull(_) => 0,
        other => bail!("the argument {other:?} has no place in a call of a module"),
    })
}

/// Returns whether a result is as expected. A NaN stands for all of its class.
pub fn matches(expected: &WastRet<'_>, found: u64, value_type: ValType) -> Result<bool> {
    let WastRet::Core(expected) = expected else { bail!("a result of a component") };
    Ok(match (expected, value_type) {
        (WastRetCore::I32(value), ValType::I32) => found == u64::from(value.cast_unsigned()),
        (WastRetCore::I64(value), ValType::I64) => found == value.cast_unsigned(),
        (WastRetCore::F32(pattern), ValType::F32) => match pattern {
            NanPattern::CanonicalNan => found & 0x7fff_ffff == 0x7fc0_0000,
            NanPattern::ArithmeticNan => found & 0x7fc0_0000 == 0x7fc0_0000,
            NanPattern::Value(value) => found == u64::from(value.bits),
        },
        (WastRetCore::F64(pattern), ValType::F64) => match pattern {
            NanPattern::CanonicalNan => found & 0x7fff_ffff_ffff_ffff == 0x7ff8_0000_0000_0000,
            NanPattern::ArithmeticNan => found & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
            NanPattern::Value(value) => found == value.bits,
        },
        (WastRetCore::RefNull(_), ValType::Ref(_)) => found == 1,
        (WastRetCore::RefFunc(_), ValType::Ref(_)) => found == 0,
        (WastRetCore::RefExtern(_), _) => bail!("a reference of the host's"),
        _ => false,
    })
}
