//! Arguments and results.

use anyhow::{Result, bail};
use wasmparser::ValType;
use wast::core::{NanPattern, WastArgCore, WastRetCore};
use wast::{WastArg, WastRet};

use crate::case::Pattern;

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

/// Returns the pattern of a result. A NaN stands for all of its class.
pub fn pattern_of(expected: &WastRet<'_>) -> Result<Pattern> {
    let WastRet::Core(expected) = expected else { bail!("a result of a component") };
    Ok(match expected {
        WastRetCore::I32(value) => Pattern::exact(ValType::I32, value.cast_unsigned().into()),
        WastRetCore::I64(value) => Pattern::exact(ValType::I64, value.cast_unsigned()),
        WastRetCore::F32(pattern) => {
            let (mask, value) = match pattern {
                NanPattern::CanonicalNan => (0x7fff_ffff, 0x7fc0_0000),
                NanPattern::ArithmeticNan => (0x7fc0_0000, 0x7fc0_0000),
                NanPattern::Value(value) => (u64::MAX, value.bits.into()),
            };
            Pattern { of: Some(ValType::F32), mask, value }
        }
        WastRetCore::F64(pattern) => {
            let (mask, value) = match pattern {
                NanPattern::CanonicalNan => (0x7fff_ffff_ffff_ffff, 0x7ff8_0000_0000_0000),
                NanPattern::ArithmeticNan => (0x7ff8_0000_0000_0000, 0x7ff8_0000_0000_0000),
                NanPattern::Value(value) => (u64::MAX, value.bits),
            };
            Pattern { of: Some(ValType::F64), mask, value }
        }
        WastRetCore::RefNull(_) => Pattern { of: None, mask: u64::MAX, value: 1 },
        WastRetCore::RefFunc(_) => Pattern { of: None, mask: u64::MAX, value: 0 },
        WastRetCore::RefExtern(_) => bail!("a reference of the host's"),
        other => bail!("the result {other:?} has no place in an answer of a module"),
    })
}
