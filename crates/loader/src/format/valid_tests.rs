use super::*;
use crate::error::{BadCode, BadVariant, MalformedModule};
use crate::format::code::Fixup;
use crate::platform::ImageSize;
use crate::testing::blob;
use bareflow_abi::ABI_MINOR;
use bareflow_abi::depends::BadDependency;
use bareflow_abi::fingerprint::FINGERPRINTS;
use bareflow_abi::header::{HEADER_SIZE, Header, SERVICE_CLOCK, SERVICE_LOG, checksum_of};
use bareflow_abi::layout_record::LAYOUT as LAYOUT_BYTES;
use bareflow_abi::record::{DEPENDENCIES, LAYOUT, STATE_SCHEMA, SYMBOLS, VARIANT};
use bareflow_abi::symbols::{BadSymbol, Symbols};
use bareflow_abi::variant::{VARIANT_HEADER_SIZE, VariantHeader};
use proptest::prelude::*;
use std::string::ToString;

const CAPABILITIES: Capabilities =
    Capabilities { services: SERVICE_LOG | SERVICE_CLOCK, cpu_level: 2, checksum: Crc32c::SOFTWARE };

fn fixups(code: &CodeVariant<'_>) -> usize {
    Fixup::all(code.fixups, code.rodata.len(), code.data.len()).count()
}

fn validate(bytes: &[u8]) -> Result<ValidModule<'_>, InvalidModule> {
    ValidModule::validate(RawModule::parse(bytes).unwrap(), CAPABILITIES)
}

/// Returns the error for the full blob with its header changed by `change`.
fn refusal(change: impl FnOnce(&mut Header)) -> InvalidModule {
    let mut bytes = blob::full();
    blob::change_header(&mut bytes, change);
    validate(&bytes).unwrap_err()
}

/// Returns the error for the full blob with the byte at `offset` after its header set to `value`.
fn refusal_with_byte(offset: usize, value: u8) -> InvalidModule {
    let mut bytes = blob::full();
    bytes[HEADER_SIZE + offset] = value;
    blob::seal(&mut bytes);
    validate(&bytes).unwrap_err()
}

/// Returns the full blob with the symbol `work` for its whole text, and a variant with the symbol `fast`.
fn with_symbols() -> std::vec::Vec<u8> {
    let mut bytes = blob::full();
    blob::add_record(&mut bytes, SYMBOLS, b"\x00\x08\x04work");
    blob::add_variant(&mut bytes, 3, |_| {});
    blob::add_record(&mut bytes, SYMBOLS, b"\x00\x08\x04fast");
    bytes
}

#[test]
fn names_the_functions_of_the_code_that_is_picked() {
    let bytes = with_symbols();
    for (cpu_level, name) in [(1, "work"), (2, "work"), (3, "fast"), (4, "fast")] {
        let valid =
            ValidModule::validate(RawModule::parse(&bytes).unwrap(), Capabilities { cpu_level, ..CAPABILITIES })
                .unwrap();
        assert_eq!(Symbols::find(valid.symbols(), 7).map(|symbol| symbol.name), Some(name), "v{cpu_level}");
    }
    // A variant without symbols does not get those of the code before it.
    let mut bytes = blob::full();
    blob::add_record(&mut bytes, SYMBOLS, b"\x00\x08\x04work");
    blob::add_variant(&mut bytes, 3, |_| {});
    let valid = ValidModule::validate(RawModule::parse(&bytes).unwrap(), Capabilities { cpu_level: 4, ..CAPABILITIES })
        .unwrap();
    assert!(valid.symbols().is_empty());
}

#[test]
fn rejects_symbols_that_can_not_be() {
    let refusal = |records: &[&[u8]]| {
        let mut bytes = blob::full();
        records.iter().for_each(|record| blob::add_record(&mut bytes, SYMBOLS, record));
        ValidModule::validate(RawModule::parse(&bytes).unwrap(), Capabilities { cpu_level: 4, ..CAPABILITIES })
            .unwrap_err()
    };
    let error = refusal(&[b"\x00\x08\x04work\x00\x01\x01a"]);
    assert_eq!(error, InvalidModule::Symbol { level: 1, number: 2, why: BadSymbol::Place });
    assert_eq!(
        error.to_string(),
        "bad symbols for x86-64-v1: number 2: it has no bytes or ends behind the text, expected functions in the order \
         of their addresses, with names of at most 255 bytes; rebuild the module or copy it again"
    );
    assert_eq!(refusal(&[b""]), InvalidModule::Symbol { level: 1, number: 1, why: BadSymbol::NoEntry });
    let two = refusal(&[b"\x00\x08\x04work", b"\x00\x08\x04work"]);
    assert_eq!(two, InvalidModule::TwoSymbolLists { level: 1 });
    assert!(two.to_string().starts_with("two lists of symbols for x86-64-v1, expected one at most; "));
    let mut bytes = with_symbols();
    blob::add_record(&mut bytes, SYMBOLS, b"\x00\x08\x04fast");
    let refused =
        ValidModule::validate(RawModule::parse(&bytes).unwrap(), Capabilities { cpu_level: 1, ..CAPABILITIES });
    assert_eq!(refused.unwrap_err(), InvalidModule::TwoSymbolLists { level: 3 });
}

#[test]
fn accepts_a_valid_module() {
    let bytes = blob::full();
    let module = validate(&bytes).unwrap();
    assert_eq!(module.name().as_str(), "full");
    assert_eq!(module.version(), Version { major: 1, minor: 0, patch: 0 });
    assert_eq!(
        module.code().image_size(),
        ImageSize { text_bytes: 8, rodata_bytes: 16, data_bytes: 40, alignment: 16 }
    );
    assert_eq!(fixups(module.code()), 2);
}

#[test]
fn rejects_wrong_checksum() {
    let mut bytes = blob::full();
    bytes[HEADER_SIZE] ^= 1;
    let expected = Header::from_bytes(bytes.first_chunk().unwrap()).checksum;
    let found = checksum_of(&bytes).unwrap();
    assert_eq!(validate(&bytes).unwrap_err(), InvalidModule::Checksum { found, expected });
}

#[test]
fn rejects_another_abi_major() {
    let error = refusal(|header| header.abi_major = 9);
    assert!(matches!(error, InvalidModule::AbiMajor { found: (9, ABI_MINOR), .. }));
    let expected =
        "wrong ABI: major version 9 (9.6), expected 1 (up to 1.6); rebuild the module against this bareflow-abi";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn rejects_a_newer_abi_minor() {
    let error = refusal(|header| header.abi_minor = ABI_MINOR + 1);
    assert!(matches!(error, InvalidModule::AbiMinor { found, .. } if found == ABI_MINOR + 1));
    assert!(error.to_string().starts_with("wrong ABI: version 1.7, this loader knows up to 1.6; rebuild "), "{error}");
}

#[test]
fn rejects_another_fingerprint() {
    let error = refusal(|header| header.abi_fingerprint = 1);
    let known = FINGERPRINTS[usize::from(ABI_MINOR)];
    assert!(
        matches!(error, InvalidModule::AbiFingerprint { found: 1, expected, minor: ABI_MINOR, .. } if expected == known)
    );
    let expected = std::format!(
        "wrong ABI: version 1.6 with fingerprint 0x0000000000000001, expected {known:#018x} (this loader has 1.6); \
         rebuild the module against a released bareflow-abi"
    );
    assert_eq!(error.to_string(), expected, "nothing is known of that layout");
}

#[test]
fn rejects_another_fingerprint_and_says_which_field_differs() {
    // The fingerprint of the first version, in a blob that claims to be of the newest.
    let error = refusal(|header| header.abi_fingerprint = FINGERPRINTS[0]).to_string();
    for part in [
        "; Context: expected heap at 64 (8 bytes), found no further field;",
        "; Services: expected call at 24 (8 bytes), found no further field;",
        "; CallArguments: expected name at 0 (8 bytes), found no further field;",
    ] {
        assert!(error.contains(part), "{error}");
    }
    // A layout described by a record: one field is smaller, and another type has one more.
    let mut list = LAYOUT_BYTES.to_vec();
    let length = list.len();
    let place = list.windows(12).position(|part| part == b"Contextinput").unwrap();
    list[place - 2] = 4;
    list.extend([8, 5, 32, 0, 8, 0]);
    list.extend(b"Servicesextra");
    let refused = |list: &[u8]| {
        let mut bytes = blob::full();
        blob::add_record(&mut bytes, LAYOUT, list);
        blob::change_header(&mut bytes, |header| header.abi_fingerprint = 1);
        validate(&bytes).unwrap_err().to_string()
    };
    let differs = "; Context: expected input at 24 (8 bytes), found input at 24 (4 bytes)\
        ; Services: expected no further field, found extra at 32 (8 bytes); rebuild ";
    assert!(refused(&list).contains(differs), "{}", refused(&list));
    assert!(refused(&list[..length - 1]).contains("; CallArguments: expected reserved at "), "{}", refused(&list));
}

#[test]
fn rejects_bad_names() {
    for name in [&b""[..], b"Full", b"a b", b"full\0x", &[b'a'; 32]] {
        let mut found = [0; 32];
        found[..name.len()].copy_from_slice(name);
        assert_eq!(refusal(|header| header.name = found), InvalidModule::Name { found });
    }
}

#[test]
fn rejects_version_zero() {
    assert_eq!(refusal(|header| header.version_major = 0), InvalidModule::Version);
}

#[test]
fn rejects_an_entry_outside_the_text() {
    for found in [8, u32::MAX] {
        assert_eq!(refusal(|header| header.entry = found), InvalidModule::Code(BadCode::Entry { found, text_size: 8 }));
    }
}

/// The offsets of the full blob's parts after its header.
const SECOND_RODATA_SLOT: usize = 16;
const DATA: usize = 24;
const FIXUPS: usize = 32;
const RECORDS: usize = 41;

#[test]
fn rejects_unreadable_fixups() {
    // The list's last byte says that another one follows.
    let error = refusal_with_byte(FIXUPS + 8, 0xff);
    assert_eq!(error, InvalidModule::Code(BadCode::FixupEncoding { behind: 0x4000_0008 }));
}

#[test]
fn rejects_another_number_of_fixups() {
    let error = refusal(|header| header.fixup_count = 1);
    assert_eq!(error, InvalidModule::Code(BadCode::FixupCount { found: 2, expected: 1 }));
}

#[test]
fn rejects_slots_outside_rodata_and_data() {
    // The first extends beyond the end of rodata. The second lies in the bss, for which the file has no bytes. The
    // distance of the third is not in its shortest form, since its last byte is zero.
    assert_eq!(refusal_with_byte(FIXUPS, 0x89), InvalidModule::Code(BadCode::FixupOutside { found: 0x4000_0009 }));
    assert_eq!(refusal_with_byte(FIXUPS + 5, 0xf9), InvalidModule::Code(BadCode::FixupOutside { found: 0x5000_0001 }));
    assert_eq!(refusal_with_byte(FIXUPS + 4, 0x00), InvalidModule::Code(BadCode::FixupEncoding { behind: 0 }));
}

#[test]
fn rejects_slots_that_point_out_of_the_image() {
    let error = refusal_with_byte(SECOND_RODATA_SLOT, 9);
    assert_eq!(error, InvalidModule::Code(BadCode::FixupTarget { fixup: 0x4000_0008, found: 9 }));
    let error = refusal_with_byte(DATA, 0x29);
    assert_eq!(error, InvalidModule::Code(BadCode::FixupTarget { fixup: 0x5000_0000, found: 0x5000_0029 }));
}

#[test]
fn rejects_a_record_that_is_cut_off() {
    assert_eq!(refusal_with_byte(RECORDS + 4, 3), InvalidModule::RecordCutOff { left: 10 });
}

#[test]
fn rejects_an_unknown_record() {
    assert_eq!(refusal_with_byte(RECORDS, 2), InvalidModule::StateSchema);
    let mut bytes = blob::full();
    blob::add_record(&mut bytes, 9, b"");
    assert_eq!(validate(&bytes).unwrap_err(), InvalidModule::UnknownRecord { found: 9 });
}

#[test]
fn rejects_a_state_that_the_module_has_no_room_for() {
    let with_state = |size: u32| {
        let mut bytes = blob::small("state");
        blob::change_header(&mut bytes, |header| (header.flags, header.bss_size) = (FLAG_STATE, 64));
        let field = bareflow_abi::state::Field { name: "all", kind: "bytes", size, fingerprint: 1 };
        let fields = [field];
        let fingerprint = bareflow_abi::state::Schema::fingerprint_of(&fields);
        let lengths = [3_u8, 5];
        let schema = [
            &size.to_le_bytes()[..],
            &1_u32.to_le_bytes(),
            &fingerprint.to_le_bytes(),
            &size.to_le_bytes(),
            &1_u64.to_le_bytes(),
            &lengths,
            b"allbytes",
        ];
        blob::add_record(&mut bytes, STATE_SCHEMA, &schema.concat());
        validate(&bytes).map(|_| ())
    };
    assert_eq!(with_state(64), Ok(()));
    assert_eq!(with_state(65), Err(InvalidModule::StateSize { found: 65, data: 64 }));
}

#[test]
fn rejects_a_dependency_that_can_not_be() {
    let refused = |bytes: &[u8], number, why: BadDependency| {
        let error = validate(bytes).unwrap_err();
        assert_eq!(error, InvalidModule::Dependency { number, why });
        assert!(error.to_string().contains(why.what()), "{error}");
    };
    refused(&blob::depending("a", 1, 0, &[("b", 1, 2), ("a", 1, 2)]), 2, BadDependency::Itself);
    refused(&blob::depending("a", 1, 0, &[("b", 1, 2), ("b", 2, 3)]), 2, BadDependency::Twice);
    refused(&blob::depending("a", 1, 0, &[("B", 1, 2)]), 1, BadDependency::Name);
    refused(&blob::depending("a", 1, 0, &[("b", 2, 2)]), 1, BadDependency::Empty);
    let mut torn = blob::small("a");
    blob::add_record(&mut torn, DEPENDENCIES, &[1, b'b', 0]);
    refused(&torn, 1, BadDependency::CutOff);
}

#[test]
fn rejects_two_lists_of_dependencies() {
    let mut bytes = blob::depending("a", 1, 0, &[("b", 1, 2)]);
    blob::add_record(&mut bytes, DEPENDENCIES, b"");
    assert_eq!(validate(&bytes).unwrap_err(), InvalidModule::TwoDependencyLists);
}

/// Returns the error for a variant whose header is changed by `change`.
fn refused_variant(change: impl FnOnce(&mut VariantHeader)) -> (u8, BadVariant) {
    match validate(&blob::with_variant(3, change)).unwrap_err() {
        InvalidModule::Variant { level, why } => (level, why),
        other => panic!("{other}"),
    }
}

#[test]
fn picks_the_highest_level_that_is_offered() {
    let mut bytes = blob::with_variant(2, |_| ());
    blob::add_variant(&mut bytes, 4, |_| ());
    for (cpu_level, expected) in [(1, (1, 42)), (2, (2, 43)), (3, (2, 43)), (4, (4, 43))] {
        let module =
            ValidModule::validate(RawModule::parse(&bytes).unwrap(), Capabilities { cpu_level, ..CAPABILITIES })
                .unwrap();
        let code = module.code();
        assert_eq!((code.header.level, code.text[1]), expected);
        assert_eq!((code.image_size().data_bytes, fixups(code)), (40, 2));
    }
}

#[test]
fn rejects_a_variant_that_is_cut_off() {
    let mut bytes = blob::full();
    blob::add_record(&mut bytes, VARIANT, &[3; VARIANT_HEADER_SIZE - 1]);
    let why = BadVariant::TooShort { found: VARIANT_HEADER_SIZE - 1 };
    assert_eq!(validate(&bytes).unwrap_err(), InvalidModule::Variant { level: 3, why });
    let mut empty = blob::full();
    blob::add_record(&mut empty, VARIANT, b"");
    let why = BadVariant::TooShort { found: 0 };
    assert_eq!(validate(&empty).unwrap_err(), InvalidModule::Variant { level: 0, why });
}

#[test]
fn rejects_a_variant_of_the_wrong_shape() {
    let refused = |change: fn(&mut VariantHeader), why| {
        assert_eq!(refused_variant(change), (3, BadVariant::Malformed(why)));
    };
    refused(|header| header.reserved = [0, 0, 1], MalformedModule::ReservedBytes { found: [0, 0, 1] });
    refused(|header| header.text_size = 0, MalformedModule::NoText);
    refused(|header| header.alignment = 3, MalformedModule::Alignment { found: 3 });
    let found = VARIANT_HEADER_SIZE + 41;
    refused(|header| header.fixup_size += 1, MalformedModule::Length { found, expected: found as u64 + 1 });
    refused(|header| header.rodata_size -= 1, MalformedModule::Length { found, expected: found as u64 - 1 });
    let huge = u64::from(u32::MAX);
    refused(
        |header| header.rodata_size = u32::MAX,
        MalformedModule::SegmentTooLarge { segment: "rodata", found: huge },
    );
}

#[test]
fn rejects_variants_that_do_not_rise() {
    for level in [0, 1, 5, 255] {
        assert_eq!(refused_variant(|header| header.level = level), (level, BadVariant::Level { behind: 1 }));
    }
    let mut twice = blob::with_variant(3, |_| ());
    blob::add_variant(&mut twice, 3, |_| ());
    let why = BadVariant::Level { behind: 3 };
    assert_eq!(validate(&twice).unwrap_err(), InvalidModule::Variant { level: 3, why });
}

#[test]
fn rejects_a_variant_whose_code_can_not_be() {
    let refused = |change: fn(&mut VariantHeader), why| {
        assert_eq!(refused_variant(change), (3, BadVariant::Code(why)));
    };
    refused(|header| header.entry = 8, BadCode::Entry { found: 8, text_size: 8 });
    refused(|header| header.fixup_count = 3, BadCode::FixupCount { found: 2, expected: 3 });
    refused(|header| header.bss_size = 8, BadCode::FixupTarget { fixup: 0x5000_0000, found: 0x5000_0028 });
    let error = validate(&blob::with_variant(3, |header| header.entry = 8)).unwrap_err().to_string();
    assert!(error.starts_with("bad variant for x86-64-v3: entry outside the text: offset 0x8"), "{error}");
}

#[test]
fn rejects_services_that_are_not_offered() {
    let error = refusal(|header| header.services = SERVICE_LOG | 0x80);
    assert_eq!(error, InvalidModule::Services { missing: 0x80, offered: CAPABILITIES.services });
}

#[test]
fn rejects_a_higher_cpu_level() {
    for found in [0, 3, 255] {
        assert_eq!(refusal(|header| header.cpu_level = found), InvalidModule::CpuLevel { found, available: 2 });
    }
}

#[test]
fn rejects_every_single_bit_flip() {
    for bytes in [blob::full(), blob::small("small"), blob::with_variant(2, |_| ())] {
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let accepted = RawModule::parse(&flipped).is_ok_and(|raw| ValidModule::validate(raw, CAPABILITIES).is_ok());
            assert!(!accepted, "bit {bit}");
        }
    }
}

/// Runs all checks, and ignores the results.
fn judge(bytes: &[u8]) {
    if let Ok(raw) = RawModule::parse(bytes) {
        let _ = ValidModule::validate(raw, CAPABILITIES).map(|module| fixups(module.code()));
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        judge(&bytes);
    }

    #[test]
    fn no_list_of_symbols_makes_it_panic(
        list in prop::collection::vec(any::<u8>(), 0..60),
        offset in any::<u64>(),
        text_size in any::<u32>(),
    ) {
        let found = Symbols::find(&list, offset);
        if Symbols::check(&list, text_size).is_ok() {
            prop_assert!(found.is_none_or(|symbol| symbol.contains(offset) && offset < u64::from(text_size)));
        }
        let mut bytes = blob::full();
        blob::add_record(&mut bytes, SYMBOLS, &list);
        judge(&bytes);
    }

    #[test]
    fn no_mutation_makes_it_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = with_symbols();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        judge(&bytes);
        // A correct checksum lets the later checks be reached as well.
        blob::seal(&mut bytes);
        judge(&bytes);
    }
}
