//! The record of a linear memory: few blobs have one, so it is looked up again when it is needed.

use bareflow_abi::header::Header;
use bareflow_abi::memory::{MEMORY_RECORD_SIZE, MemoryRecord};
use bareflow_abi::record::{MEMORY, VARIANT};

use crate::error::InvalidModule;
use crate::format::code::CodeVariant;
use crate::format::records::{Records, first_record};

/// Checks the record, and that it is the first one. Its words lie in the data of all code of the blob.
///
/// # Errors
/// The first value that can't be.
#[cold]
#[inline(never)]
pub(super) fn check_memory(bytes: &[u8], is_first: bool, records: &[u8], header: &Header) -> Result<(), InvalidModule> {
    if !is_first {
        return Err(InvalidModule::TwoMemories);
    }
    let variants = Records::new(records).flatten().filter(|record| record.kind == VARIANT);
    // A variant that can't be read is refused where it stands.
    let sizes = variants.filter_map(|record| CodeVariant::variant(record.bytes).ok());
    let sizes = sizes.map(|variant| variant.header.data_size.saturating_add(variant.header.bss_size));
    let own = header.data_size.saturating_add(header.bss_size);
    MemoryRecord::read(bytes, sizes.fold(own, u32::min)).map_err(|why| InvalidModule::Memory { why })?;
    Ok(())
}

/// Returns the record, which was checked before.
#[cold]
#[inline(never)]
pub(super) fn memory_of(records: &[u8]) -> Option<MemoryRecord> {
    let bytes: &[u8; MEMORY_RECORD_SIZE] = first_record(records, MEMORY).try_into().ok()?;
    Some(MemoryRecord::from_bytes(bytes))
}
