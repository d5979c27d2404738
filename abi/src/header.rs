//! The fixed header every `.mod` blob opens with.
//!
//! Integers are little-endian, as `fields.rs` writes and reads them;
//! `docs/format.md` shows the same table for people.

use core::mem::{offset_of, size_of};

use static_assertions::const_assert_eq;

use crate::checksum::Crc32c;

use crate::fields::fields;

/// What a blob's first four bytes are: "MODB" read as a little-endian number.
pub const MAGIC: u32 = 0x4D4F_4442;

/// The version of the file format described here.
pub const FORMAT_VERSION: u16 = 1;

/// The machine the code is for: ELF's number for x86-64.
pub const MACHINE_X86_64: u16 = 62;

/// Bytes a header takes.
pub const HEADER_SIZE: usize = 128;

/// Bytes of the name field; the last one is always zero.
pub const NAME_SIZE: usize = 32;

/// Whether a module's name may contain `byte`. A name has 1 to 31 of these.
#[must_use]
#[inline]
pub const fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[byte as usize]
}

/// Of every byte, whether a name may contain it.
const NAME_BYTES: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < table.len() {
        table[byte] = matches!(byte as u8, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        byte += 1;
    }
    table
};

/// Header flag: the module wants to be called with [`Reason::Init`](crate::Reason::Init).
pub const FLAG_INIT: u32 = 1 << 0;

/// Header flag: the module wants to be called with [`Reason::Exit`](crate::Reason::Exit).
pub const FLAG_EXIT: u32 = 1 << 1;

/// Header flag: the module wants to be called with [`Reason::Migrate`](crate::Reason::Migrate).
pub const FLAG_MIGRATE: u32 = 1 << 2;

/// Header flag: two calls of the module may overlap.
pub const FLAG_REENTRANT: u32 = 1 << 3;

/// Header flag, since ABI 1.2: the module has state, and hands it over when called with [`Reason::Save`](crate::Reason::Save).
pub const FLAG_STATE: u32 = 1 << 4;

/// Header flag, since ABI 1.2: the module accounts for its heap when called with
/// [`Reason::Account`](crate::Reason::Account).
pub const FLAG_ACCOUNT: u32 = 1 << 5;

/// Every flag this version knows.
pub const KNOWN_FLAGS: u32 = FLAG_INIT | FLAG_EXIT | FLAG_MIGRATE | FLAG_REENTRANT | FLAG_STATE | FLAG_ACCOUNT;

/// Service: write a line to the embedder's log.
pub const SERVICE_LOG: u32 = 1 << 0;

/// Service: read the embedder's cycle clock.
pub const SERVICE_CLOCK: u32 = 1 << 1;

/// Service, since ABI 1.2: call another module.
pub const SERVICE_CALL: u32 = 1 << 2;

/// Every service this version knows, with the name `Cargo.toml` and messages use.
pub const SERVICE_NAMES: [(u32, &str); 3] = [(SERVICE_LOG, "log"), (SERVICE_CLOCK, "clock"), (SERVICE_CALL, "call")];

fields! {
    /// The header's fields, in the order of the file.
    Header, HEADER_SIZE;
    /// [`MAGIC`].
    magic: u32,
    /// [`FORMAT_VERSION`].
    format: u16,
    /// [`MACHINE_X86_64`].
    machine: u16,
    /// The [`ABI_MAJOR`](crate::ABI_MAJOR) the module was built against.
    abi_major: u16,
    /// The [`ABI_MINOR`](crate::ABI_MINOR) the module was built against.
    abi_minor: u16,
    /// `FLAG_*` bits; all others are zero.
    flags: u32,
    /// The [`fingerprint`](crate::fingerprint) of the ABI the module was built against.
    abi_fingerprint: u64,
    /// `[a-z0-9_-]{1,31}`, then zeros.
    name: [u8; NAME_SIZE],
    /// Semantic version: major.
    version_major: u32,
    /// Semantic version: minor.
    version_minor: u32,
    /// Semantic version: patch.
    version_patch: u32,
    /// Offset of the entry in the text segment.
    entry: u32,
    /// Bytes of text.
    text_size: u32,
    /// Bytes of read-only data.
    rodata_size: u32,
    /// Bytes of initialised writable data.
    data_size: u32,
    /// Bytes of zeroed writable data, which follow the data in memory and are not in the file.
    bss_size: u32,
    /// What every segment's start is aligned to: a power of two, 4096 at the most.
    alignment: u32,
    /// How many fix-ups there are.
    fixup_count: u32,
    /// Bytes the encoded fix-ups take.
    fixup_size: u32,
    /// Bytes the records take.
    record_size: u32,
    /// `SERVICE_*` bits: what the module uses.
    services: u32,
    /// Stack the module wants, in bytes; 0: the loader's default.
    stack_size: u32,
    /// Heap the module wants, in bytes; 0: none.
    heap_size: u32,
    /// Time a call may take, in microseconds; 0: the loader's default.
    time_us: u32,
    /// Least x86-64 level the code needs: 1 to 4 for x86-64-v1 to v4.
    cpu_level: u8,
    /// Zero.
    reserved: [u8; 3],
    /// CRC-32C of all bytes of the file but these four.
    checksum: u32,
}

impl Header {
    /// The name up to its first zero byte; not judged.
    #[must_use]
    pub fn name_bytes(&self) -> &[u8] {
        let length = self.name.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
        self.name.get(..length).unwrap_or_default()
    }
}

/// What is put into a blob's checksum field: the CRC-32C of everything else in
/// `blob`. `None` when `blob` is shorter than a header.
#[must_use]
pub fn checksum_of(blob: &[u8]) -> Option<u32> {
    checksum_by(Crc32c::SOFTWARE, blob)
}

/// The same, computed that way.
// Inlined, it is tangled up with what is read of the header behind it, which takes more than a call.
#[must_use]
#[inline(never)]
pub fn checksum_by(backend: Crc32c, blob: &[u8]) -> Option<u32> {
    let before = blob.get(..offset_of!(Header, checksum))?;
    let behind = blob.get(HEADER_SIZE..)?;
    Some(backend.of(&[before, behind]))
}

// The checksum must come last, so that it covers all before and behind it.
const_assert_eq!(offset_of!(Header, abi_fingerprint), 16);
const_assert_eq!(offset_of!(Header, name), 24);
const_assert_eq!(offset_of!(Header, version_major), 56);
const_assert_eq!(offset_of!(Header, text_size), 72);
const_assert_eq!(offset_of!(Header, cpu_level), 120);
const_assert_eq!(offset_of!(Header, checksum), HEADER_SIZE - size_of::<u32>());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_a_round_trip() {
        let mut bytes = [0; HEADER_SIZE];
        for (value, byte) in (0..).zip(&mut bytes) {
            *byte = value;
        }
        let header = Header::from_bytes(&bytes);
        assert_eq!(header.magic, 0x0302_0100);
        assert_eq!(header.to_bytes(), bytes);
    }

    #[test]
    fn leaves_no_byte_without_a_field() {
        let mut end = 0;
        for &(name, offset, size) in Header::FIELDS {
            assert_eq!(offset, end, "{name}");
            end = offset + size;
        }
        assert_eq!(end, HEADER_SIZE);
    }

    #[test]
    fn magic_is_the_c_systems() {
        let header = Header { magic: MAGIC, ..Header::default() };
        assert_eq!(&header.to_bytes()[..4], b"BDOM");
    }
}
