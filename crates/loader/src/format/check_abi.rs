//! The checks that the bytes are whole, and that the code is for this ABI.

use bareflow_abi::ABI_MAJOR;
use bareflow_abi::checksum::Crc32c;
use bareflow_abi::fingerprint::FINGERPRINTS;
use bareflow_abi::header::checksum_by;
use bareflow_abi::record::LAYOUT;

use crate::error::{Differences, InvalidModule};
use crate::format::raw::RawModule;
use crate::format::records::first_record;

/// Checks that the bytes are those that the packer wrote.
#[inline]
pub(super) fn check_checksum(blob: &[u8], expected: u32, backend: Crc32c) -> Result<(), InvalidModule> {
    // A raw module is never shorter than a header.
    let found = checksum_by(backend, blob).unwrap_or(!expected);
    if found == expected { Ok(()) } else { Err(InvalidModule::Checksum { found, expected }) }
}

/// Checks that the code will find `Context` and `Services` in the layout that it expects.
#[inline]
pub(super) fn check_abi(raw: &RawModule<'_>) -> Result<(), InvalidModule> {
    let header = raw.header();
    let minor = header.abi_minor;
    let differs = || match cfg!(feature = "differences") {
        true => Differences::find(minor, header.abi_fingerprint, first_record(raw.records, LAYOUT)),
        false => Differences::default(),
    };
    if header.abi_major != ABI_MAJOR {
        return Err(InvalidModule::AbiMajor { found: (header.abi_major, minor), differs: differs() });
    }
    // There is one fingerprint for each minor version that this loader knows.
    let Some(&expected) = FINGERPRINTS.get(usize::from(minor)) else {
        return Err(InvalidModule::AbiMinor { found: minor, differs: differs() });
    };
    if header.abi_fingerprint != expected {
        let found = header.abi_fingerprint;
        return Err(InvalidModule::AbiFingerprint { found, expected, minor, differs: differs() });
    }
    Ok(())
}
