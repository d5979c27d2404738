//! The memory of a module's heap: pages by which linear memory grows, up to the maximum that the packer sets.

use core::ptr::null_mut;

use talc::base::Talc;
use talc::base::binning::DefaultBinning;
use talc::wasm::WasmGrowAndExtend;

use crate::Context;

/// The source of further memory.
pub(crate) type Source = WasmGrowAndExtend;

pub(crate) const SOURCE: Source = WasmGrowAndExtend::new();

/// Does nothing: the source grows the memory when the first block is asked for.
pub(crate) fn claim(_: &mut Talc<Source, DefaultBinning>, _: &Context<'_>) -> *mut [u64; 2] {
    null_mut()
}

/// Does nothing: nobody reads a note in linear memory.
///
/// # Safety
/// There are no demands; native code has some.
pub(crate) unsafe fn write_peak(_: *mut [u64; 2], _: u64) {}
