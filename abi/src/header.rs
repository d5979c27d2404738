//! The fixed header at the start of every `.mod` blob.
//!
//! Integers are little-endian, as `fields.rs` reads and writes them. `docs/format.md` has the same table for people.

use core::mem::{offset_of, size_of};

use static_assertions::const_assert_eq;

use crate::checksum::Crc32c;

use crate::fields::fields;

/// The first four bytes of a blob: "MODB" read as a little-endian number.
pub const MAGIC: u32 = 0x4D4F_4442;

/// The version of the file format described here.
pub const FORMAT_VERSION: u16 = 1;

/// The machine that the code is for: ELF's number for x86-64.
pub const MACHINE_X86_64: u16 = 62;

/// The size of a header, in bytes.
pub const HEADER_SIZE: usize = 128;

/// The size of the name field, in bytes; the last byte is always zero.
pub const NAME_SIZE: usize = 32;

/// Returns whether a module's name may contain `byte`. A name has 1 to 31 such bytes.
#[must_use]
#[inline]
pub const fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[byte as usize]
}

/// For every byte, whether a name may contain it.
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

/// Header flag, since ABI 1.2: the module accounts for its heap when called.
///
/// The call's reason is [`Reason::Account`](crate::Reason::Account).
pub const FLAG_ACCOUNT: u32 = 1 << 5;

/// Header flag, since ABI 1.3: the module exports functions, and has no `run`.
pub const FLAG_NO_RUN: u32 = 1 << 7;

/// All flags that this version knows.
pub const KNOWN_FLAGS: u32 =
    FLAG_INIT | FLAG_EXIT | FLAG_MIGRATE | FLAG_REENTRANT | FLAG_STATE | FLAG_ACCOUNT | FLAG_NO_RUN;

/// Service: write a line to the embedder's log.
pub const SERVICE_LOG: u32 = 1 << 0;

/// Service: read the embedder's cycle clock.
pub const SERVICE_CLOCK: u32 = 1 << 1;

/// Service, since ABI 1.2: call another module.
pub const SERVICE_CALL: u32 = 1 << 2;

/// Service, since ABI 1.3: call the methods of imports.
pub const SERVICE_INVOKE: u32 = 1 << 3;

/// Service, since ABI 1.5: grow the linear memory.
pub const SERVICE_GROW: u32 = 1 << 4;

/// All services that this version knows, with their names in `Cargo.toml` and messages.
pub const SERVICE_NAMES: [(u32, &str); 5] = [
    (SERVICE_LOG, "log"),
    (SERVICE_CLOCK, "clock"),
    (SERVICE_CALL, "call"),
    (SERVICE_INVOKE, "interfaces"),
    (SERVICE_GROW, "grow"),
];

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
    /// The `FLAG_*` bits; all others are zero.
    flags: u32,
    /// The [`fingerprint`](crate::fingerprint) of the ABI the module was built against.
    abi_fingerprint: u64,
    /// The module's name: `[a-z0-9_-]{1,31}`, then zeros.
    name: [u8; NAME_SIZE],
    /// The major part of the semantic version.
    version_major: u32,
    /// The minor part of the semantic version.
    version_minor: u32,
    /// The patch part of the semantic version.
    version_patch: u32,
    /// The offset of the entry in the text segment.
    entry: u32,
    /// The size of the text, in bytes.
    text_size: u32,
    /// The size of the read-only data, in bytes.
    rodata_size: u32,
    /// The size of the initialised writable data, in bytes.
    data_size: u32,
    /// The size of the zeroed writable data, which follows the data in memory and is not in the file, in bytes.
    bss_size: u32,
    /// The alignment of every segment's start: a power of two, at most 4096.
    alignment: u32,
    /// The number of fix-ups.
    fixup_count: u32,
    /// The size of the encoded fix-ups, in bytes.
    fixup_size: u32,
    /// The size of the records, in bytes.
    record_size: u32,
    /// The services that the module uses, as `SERVICE_*` bits.
    services: u32,
    /// The stack that the module asks for, in bytes; 0 for the loader's default.
    stack_size: u32,
    /// The heap that the module asks for, in bytes; 0 for none.
    heap_size: u32,
    /// The time that a call may take, in microseconds; 0 for the loader's default.
    time_us: u32,
    /// The lowest x86-64 level that the code runs on: 1 to 4 for x86-64-v1 to v4.
    cpu_level: u8,
    /// Reserved: zero.
    reserved: [u8; 3],
    /// The CRC-32C of all other bytes of the file.
    checksum: u32,
}

impl Header {
    /// Returns the name up to its first zero byte, without validating it.
    #[must_use]
    pub fn name_bytes(&self) -> &[u8] {
        let length = self.name.iter().position(|&byte| byte == 0).unwrap_or(NAME_SIZE);
        self.name.get(..length).unwrap_or_default()
    }
}

/// Computes a blob's checksum: the CRC-32C of all bytes of `blob` but the checksum field.
///
/// `None` if `blob` is shorter than a header.
#[must_use]
pub fn checksum_of(blob: &[u8]) -> Option<u32> {
    checksum_by(Crc32c::SOFTWARE, blob)
}

/// Computes a blob's checksum like [`checksum_of`], by the given implementation.
// Inlined, it would be scheduled among the later reads of the header, which costs more than a call.
#[must_use]
#[inline(never)]
pub fn checksum_by(backend: Crc32c, blob: &[u8]) -> Option<u32> {
    let before = blob.get(..offset_of!(Header, checksum))?;
    let behind = blob.get(HEADER_SIZE..)?;
    Some(backend.of(&[before, behind]))
}

// The checksum is the last field, so that it covers everything before and after it.
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
