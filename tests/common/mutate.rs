//! Invalid blobs, made from a valid one.

use std::fs;
use std::path::{Path, PathBuf};

use bareflow_abi::carry::{AREA_BYTES, CarryArea, CarryHeader, carry_digest};
use bareflow_abi::depends::Dependency;
use bareflow_abi::events::{self, Event};
use bareflow_abi::fingerprint::FINGERPRINTS;
use bareflow_abi::header::{HEADER_SIZE, Header, SERVICE_CALL, checksum_of};
use bareflow_abi::interface::bindings::{Entries, Role};
use bareflow_abi::record::{BINDINGS, CARRY, DEPENDENCIES, EVENTS};

use super::test_blob;

/// Writes `bytes` to the file `name` in `folder`.
pub fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Returns a copy of `blob` with its header changed by `change`, and a correct checksum.
pub fn with_header(blob: &[u8], change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut bytes = blob.to_vec();
    let mut header = Header::from_bytes(bytes.first_chunk().unwrap());
    change(&mut header);
    bytes[..HEADER_SIZE].copy_from_slice(&header.to_bytes());
    let checksum = checksum_of(&bytes).unwrap();
    bytes[HEADER_SIZE - 4..HEADER_SIZE].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Returns the blob of a test module with another name and version.
pub fn renamed(module: &str, name: &str, version: (u32, u32, u32)) -> Vec<u8> {
    with_header(&fs::read(test_blob(module)).unwrap(), |header| {
        header.name = [0; 32];
        header.name[..name.len()].copy_from_slice(name.as_bytes());
        (header.version_major, header.version_minor, header.version_patch) = version;
    })
}

/// Returns a copy of `blob` that says of all of its data and bss that they are carried.
pub fn carrying(blob: &[u8]) -> Vec<u8> {
    let header = Header::from_bytes(blob.first_chunk().unwrap());
    let area = CarryArea { offset: 0, bytes: header.data_size + header.bss_size, kind: AREA_BYTES, limit: 0 };
    let start = CarryHeader { digest: carry_digest(b"wasm"), flags: 0, count: 1 };
    let record = [&start.to_bytes()[..], &area.to_bytes()].concat();
    let record = [&CARRY.to_le_bytes()[..], &(record.len() as u32).to_le_bytes(), &record].concat();
    with_header(&[blob, &record].concat(), |header| header.record_size += record.len() as u32)
}

/// Returns a copy of `blob` that declares events.
pub fn declaring(blob: &[u8], declared: &[Event<'_>]) -> Vec<u8> {
    let bytes: [u8; 8192] = events::encode(declared);
    let length = events::encoded_size(declared);
    let record = [&EVENTS.to_le_bytes()[..], &(length as u32).to_le_bytes(), &bytes[..length]].concat();
    with_header(&[blob, &record].concat(), |header| {
        header.record_size += record.len() as u32;
        header.abi_minor = 4;
        header.abi_fingerprint = FINGERPRINTS[4];
    })
}

/// A name, the lowest version that will do, and the first one that is too high.
pub type Needs<'name> = (&'name str, (u32, u32, u32), Option<(u32, u32, u32)>);

/// Returns a copy of `blob` whose only record is its bindings, which must come first, with all imports bound to `provider`.
pub fn bound(blob: &[u8], provider: &str) -> Vec<u8> {
    let (parts, records) =
        blob.split_at(blob.len() - Header::from_bytes(blob.first_chunk().unwrap()).record_size as usize);
    let length = u32::from_le_bytes(records[4..8].try_into().unwrap()) as usize;
    let mut list = Vec::new();
    for entry in Entries::new(&records[8..8 + length]) {
        let provider = if entry.role == Role::Import { provider } else { "" };
        entry.encode_with(provider, &mut |part| list.extend_from_slice(part));
    }
    let record = [&BINDINGS.to_le_bytes()[..], &(list.len() as u32).to_le_bytes(), &list].concat();
    with_header(&[parts, &record].concat(), |header| header.record_size = record.len() as u32)
}

/// Returns a copy of `blob` whose only record is the list of dependencies `needs`.
pub fn depending(blob: &[u8], needs: &[Needs<'_>]) -> Vec<u8> {
    let mut list = Vec::new();
    for &(name, from, below) in needs {
        let entry = Dependency { name, from: from.into(), below: below.map(Into::into) };
        entry.encode(&mut |part| list.extend_from_slice(part));
    }
    let before = Header::from_bytes(blob.first_chunk().unwrap()).record_size as usize;
    let record = [&DEPENDENCIES.to_le_bytes()[..], &(list.len() as u32).to_le_bytes(), &list].concat();
    let bytes = [&blob[..blob.len() - before], &record].concat();
    with_header(&bytes, |header| {
        header.record_size = record.len() as u32;
        header.services |= SERVICE_CALL;
    })
}

/// Writes a file of each kind that must be refused. Returns them with the expected part of the message.
pub fn refused_files(folder: &Path, valid: &[u8]) -> Vec<(PathBuf, &'static str)> {
    let mut flipped = valid.to_vec();
    flipped[HEADER_SIZE] ^= 0x10;
    vec![
        (file(folder, "empty.mod", b""), "file too short: 0 bytes"),
        (file(folder, "truncated.mod", &valid[..valid.len() - 1]), "wrong length: "),
        (file(folder, "flipped.mod", &flipped), "checksum mismatch: header says "),
        (file(folder, "magic.mod", &with_header(valid, |header| header.magic = 1)), "wrong magic: 0x00000001"),
        (file(folder, "abi.mod", &with_header(valid, |header| header.abi_major = 9)), "wrong ABI: major version 9"),
        (
            file(folder, "duplicate.mod", &with_header(valid, |header| header.version_patch = 7)),
            "already loaded: sum 0.1.0",
        ),
    ]
}
