//! The loader's checks of real blobs: nothing that differs from what was packed is accepted.

mod common;

use bareflow_abi::checksum::Crc32c;
use bareflow_loader::valid::Capabilities;
use bareflow_loader::{RawModule, ValidModule};
use common::{blob, test_blob};
use proptest::prelude::*;

const CAPABILITIES: Capabilities = Capabilities { services: u32::MAX, cpu_level: 4, checksum: Crc32c::SOFTWARE };

fn accepted(bytes: &[u8]) -> bool {
    RawModule::parse(bytes).is_ok_and(|raw| ValidModule::validate(raw, CAPABILITIES).is_ok())
}

#[test]
fn rejects_every_bit_flip_truncation_and_extension() {
    for path in ["fibonacci", "sum", "compute", "primes"].map(blob).into_iter().chain([test_blob("vectors")]) {
        let (name, mut bytes) = (path.display(), std::fs::read(&path).unwrap());
        assert!(accepted(&bytes), "{name}");
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!accepted(&bytes), "{name} with bit {bit} flipped");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..bytes.len() {
            assert!(!accepted(&bytes[..length]), "{name} cut to {length} bytes");
        }
        for extra in 1..64 {
            bytes.push(0);
            assert!(!accepted(&bytes), "{name} with {extra} bytes behind it");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_mutation_of_a_large_blob_makes_the_loader_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        resealed: bool,
        large: bool,
    ) {
        // The last record of both modules' blobs is a variant.
        let mut bytes = std::fs::read(test_blob(if large { "all-in-one" } else { "vectors" })).unwrap();
        for (index, value) in changes {
            // Mostly the header, and what the packer writes after the segments.
            let window = bytes.len().min(400);
            let index = index.index(window);
            let place = if index < 128 { index } else { bytes.len() - 1 - (index - 128) };
            bytes[place] = value;
        }
        if resealed {
            let bytes_resealed = common::mutate::with_header(&bytes, |_| ());
            accepted(&bytes_resealed);
        }
        accepted(&bytes);
    }
}
