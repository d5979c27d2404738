//! The lists of trap sites: few blobs have any, so they are looked up again when they are needed.

use bareflow_abi::header::Header;
use bareflow_abi::record::{TRAPS, VARIANT};
use bareflow_abi::traps::Traps;

use crate::error::InvalidModule;
use crate::format::code::CodeVariant;
use crate::format::records::Records;

/// Checks the lists of the code for `level`, of which there is at most one.
///
/// # Errors
/// The first invalid entry of the first list, or that there is a second one.
#[cold]
#[inline(never)]
pub(super) fn check_traps(records: &[u8], header: &Header, level: u8) -> Result<(), InvalidModule> {
    let mut lists = lists_of(records, header, level);
    let Some((text_size, list)) = lists.next() else { return Ok(()) };
    if lists.next().is_some() {
        return Err(InvalidModule::TwoTrapLists { level });
    }
    Traps::check(list, text_size).map_err(|(number, why)| InvalidModule::TrapSite { level, number, why })
}

/// Returns the list of the code for `level`; empty if it has none.
#[cold]
#[inline(never)]
pub(super) fn traps_of<'blob>(records: &'blob [u8], header: &Header, level: u8) -> &'blob [u8] {
    lists_of(records, header, level).next().map_or(&[], |(_, list)| list)
}

/// Returns the lists of the code for `level`, each with the size of that code's text.
fn lists_of<'blob>(
    records: &'blob [u8],
    header: &Header,
    level: u8,
) -> impl Iterator<Item = (u32, &'blob [u8])> + use<'blob> {
    let mut code = Some((header.cpu_level, header.text_size));
    Records::new(records).flatten().filter_map(move |record| match record.kind {
        VARIANT => {
            let variant = CodeVariant::variant(record.bytes).ok();
            code = variant.map(|variant| (variant.header.level, variant.header.text_size));
            None
        }
        TRAPS => code.filter(|code| code.0 == level).map(|(_, text_size)| (text_size, record.bytes)),
        _ => None,
    })
}
