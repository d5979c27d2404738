//! Portable modules that export interfaces, as both engines make them: they serve whom native ones serve, and answer the same.

mod common;

use std::sync::OnceLock;

use bareflow_abi::header::{Header, MAGIC};
use bareflow_abi::interface::bindings::{NewEntry, encode, encoded_size};
use bareflow_abi::interface::{PIECE_ALIGNMENT, Reply};
use bareflow_abi::record::BINDINGS;
use bareflow_abi::{CallError, Out};
use bareflow_cipher::{Cipher, CipherError};
use bareflow_engine::Options as EngineOptions;
use bareflow_host::HostPlatform;
use bareflow_loader::{Budget, Domain, FaultKind, KernelDomain, LoadOptions, ModuleManager, Timing};
use bareflow_portable::description::{SECTION, name_field, push_record};
use bareflow_translator::{Bounds, Optimization, Options, translate};
use kinds_interface::{Kinds, KindsError, Point};

/// The most pages of a memory.
const PAGES: u32 = 64;

/// An engine with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    Interpreter,
    /// With this work, these bounds, and the guard or not.
    Compiler(Optimization, Bounds, bool),
}

const MAKERS: [Maker; 4] = [
    Maker::Interpreter,
    Maker::Compiler(Optimization::Quick, Bounds::Checked, true),
    Maker::Compiler(Optimization::Speed, Bounds::Checked, false),
    Maker::Compiler(Optimization::Speed, Bounds::Window, true),
];

impl Maker {
    fn blob(self, wasm: &[u8]) -> Vec<u8> {
        match self {
            Maker::Interpreter => {
                let options = EngineOptions { maximum_pages: PAGES, ..EngineOptions::DEFAULT };
                bareflow_interpreter::compile(&options, "test", wasm).unwrap_or_else(|error| panic!("{}", error.text))
            }
            Maker::Compiler(optimization, bounds, spectre_guard) => {
                let version = (1, 0, 0);
                let options =
                    Options { version, optimization, cpu_level: 1, bounds, spectre_guard, maximum_pages: PAGES };
                translate(&options, "test", wasm).unwrap_or_else(|error| panic!("{error}"))
            }
        }
    }
}

/// A module in all forms: as native code, and as each maker makes it.
struct Forms {
    native: Vec<u8>,
    made: Vec<(Maker, Vec<u8>)>,
}

impl Forms {
    fn of(name: &str) -> Forms {
        let folder = format!("tests/modules/{name}");
        let wasm = common::try_build(&folder).unwrap_or_else(|error| panic!("{name}: {error}")).bytes;
        Forms { native: common::native(&folder), made: MAKERS.map(|maker| (maker, maker.blob(&wasm))).into() }
    }

    fn each(&self) -> impl Iterator<Item = (String, &[u8])> {
        let made = self.made.iter().map(|(maker, blob)| (format!("{maker:?}"), &**blob));
        core::iter::once(("native".to_owned(), &*self.native)).chain(made)
    }
}

/// Returns the forms of the provider and of its user.
fn forms() -> &'static [Forms; 2] {
    static FORMS: OnceLock<[Forms; 2]> = OnceLock::new();
    FORMS.get_or_init(|| ["kinds", "kinds-user"].map(Forms::of))
}

type Manager = ModuleManager<HostPlatform>;

fn manager() -> Manager {
    let platform = HostPlatform::new(Box::new(|_| ())).unwrap();
    // SAFETY: the blobs were made here.
    let trusted = unsafe { KernelDomain::trust_all_blobs() };
    ModuleManager::with_kernel_domain(platform, Timing::Fast, trusted)
}

fn load(manager: &Manager, blob: &[u8], domain: Domain) {
    let limits = Budget { time_us: 200_000, ..Budget::LIMITS };
    manager.load_with(blob, &LoadOptions { domain, limits, ..LoadOptions::default() }).unwrap();
}

fn run(manager: &Manager, name: &str) -> i32 {
    manager.execute(manager.find(name).unwrap()).unwrap()
}

#[test]
fn all_kinds_of_arguments_cross_between_all_forms_and_domains() {
    let [providers, users] = forms();
    for (provider, provider_blob) in providers.each() {
        for (user, user_blob) in users.each().filter(|(user, _)| *user != provider || user != "native") {
            for domains in
                [[Domain::Kernel, Domain::User], [Domain::User, Domain::Kernel], [Domain::User; 2], [Domain::Kernel; 2]]
            {
                let manager = manager();
                load(&manager, provider_blob, domains[0]);
                load(&manager, user_blob, domains[1]);
                for _ in 0..2 {
                    assert_eq!(run(&manager, "kinds-user"), 0, "{user} uses {provider}, {domains:?}");
                }
            }
        }
    }
}

#[test]
fn a_provider_that_goes_wrong_fails_its_calls_alone() {
    let [providers, users] = forms();
    for (provider, provider_blob) in providers.each().skip(1) {
        for domain in Domain::ALL {
            let manager = manager();
            load(&manager, provider_blob, domain);
            load(&manager, &users.native, Domain::User);
            let fail = |number: u32| {
                let function = manager.find_function("kinds-user.fail").unwrap();
                manager.execute_function(function, &number.to_le_bytes(), &mut []).unwrap().outcome.result
            };
            let faulted = 256 + CallError::Faulted as i32;
            assert_eq!([fail(200), fail(1000), fail(0)], [200, faulted, faulted], "{provider}, {domain:?}");
        }
    }
}

/// A message that its algorithm's specification seals: key, nonce, associated data, message, the sealed message's first bytes,
/// tag.
type Vector = ([u8; 32], [u8; 12], &'static [u8], &'static [u8], [u8; 16], [u8; 16]);

/// RFC 8439, section 2.8.2.
const CHACHA: Vector = (
    *b"\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f",
    *b"\x07\0\0\0@ABCDEFG",
    b"PQRS\xc0\xc1\xc2\xc3\xc4\xc5\xc6\xc7",
    b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
    *b"\xd3\x1a\x8d\x34\x64\x8e\x60\xdb\x7b\x86\xaf\xbc\x53\xef\x7e\xc2",
    *b"\x1a\xe1\x0b\x59\x4f\x09\xe2\x6a\x7e\x90\x2e\xcb\xd0\x60\x06\x91",
);

/// Test case 14 of the specification of AES-GCM.
const AES: Vector = (
    [0; 32],
    [0; 12],
    b"",
    &[0; 16],
    *b"\xce\xa7\x40\x3d\x4d\x60\x6b\x6e\x07\x4e\xc5\xd3\xba\xf3\x9d\x18",
    *b"\xd0\xd1\xc8\xa7\x99\x99\x6b\xf0\x26\x5b\x98\xb5\xd4\x8a\xb9\x19",
);

#[test]
fn the_gallerys_ciphers_seal_and_open_as_their_specifications_say() {
    for (name, (key, nonce, associated, message, sealed, expected)) in [("chacha-cipher", CHACHA), ("aes-cipher", AES)]
    {
        let wasm = common::try_build(&format!("examples/gallery/{name}")).unwrap().bytes;
        for maker in MAKERS {
            let blob = maker.blob(&wasm);
            for domain in Domain::ALL {
                let manager = manager();
                load(&manager, &blob, domain);
                let bound = manager.bind::<dyn Cipher>(name).unwrap();
                let (mut bytes, mut tag) = (message.to_vec(), [0; 16]);
                bound.client().seal(&key, &nonce, associated, &mut bytes, &mut tag).unwrap();
                assert_eq!((&bytes[..16], tag), (&sealed[..], expected), "{name}, {maker:?}, {domain:?}");
                let mut opened = bytes.clone();
                bound.client().open(&key, &nonce, associated, &mut opened, &tag).unwrap();
                assert_eq!(opened, message);
                tag[3] ^= 1;
                let forged = bound.client().open(&key, &nonce, associated, &mut bytes, &tag);
                assert_eq!(forged, Err(CipherError::Forged), "{name}, {maker:?}, {domain:?}");
            }
        }
    }
}

/// Bytes at a multiple of [`PIECE_ALIGNMENT`].
#[repr(align(16))]
struct Aligned([u8; 128]);

const _: () = assert!(align_of::<Aligned>() == PIECE_ALIGNMENT);

/// Calls `kinds.sum` by a packed frame that `change` has changed: of three bytes, and a point.
fn sum_with(manager: &Manager, change: impl FnOnce(&mut [u8], &mut usize)) -> Reply {
    let mut input = Aligned([0; 128]);
    let (words, pieces) = input.0.split_at_mut(32);
    let point = size_of::<Point>() as u64;
    for (word, value) in words.chunks_exact_mut(8).zip([32, 3, 48, point]) {
        word.copy_from_slice(&u64::to_le_bytes(value));
    }
    pieces[..3].copy_from_slice(&[1, 2, 3]);
    pieces[16] = 4;
    let mut length = 48 + size_of::<Point>();
    change(&mut input.0, &mut length);
    let mut output = Aligned([0; 128]);
    let function = manager.find_function("kinds.sum").unwrap();
    manager.call_packed(function, &input.0[..length], &mut output.0[..8]).unwrap().reply
}

#[test]
fn frames_that_are_none_do_not_reach_the_module() {
    let bad = Reply::from(CallError::BadArgument);
    for (form, blob) in forms()[0].each() {
        for domain in Domain::ALL {
            let manager = manager();
            load(&manager, blob, domain);
            let with_word = |number: usize, value: u64| {
                sum_with(&manager, |input, _| input[8 * number..][..8].copy_from_slice(&value.to_le_bytes()))
            };
            let is_refused = |reply: Reply| assert_eq!(reply, bad, "{form}, {domain:?}");
            for value in [0, 31, 33, 48, 1 << 32, u64::MAX] {
                is_refused(with_word(0, value));
            }
            for value in [17, 1 << 32, u64::MAX, u64::MAX - 31] {
                is_refused(with_word(1, value));
            }
            // Not a whole number of points; the first is refused by the provider itself.
            is_refused(sum_with(&manager, |input, length| {
                input[24] -= 1;
                *length -= 1;
            }));
            is_refused(with_word(3, 0));
            is_refused(with_word(3, u64::MAX));
            for cut in [0, 8, 31, 47, 63] {
                is_refused(sum_with(&manager, |_, length| *length = cut));
            }
            is_refused(sum_with(&manager, |_, length| *length += 1));
            assert_eq!(sum_with(&manager, |_, _| ()), Reply { status: 0, value: 10 }, "{form}, {domain:?}");
        }
    }
}

/// A provider of `Kinds` that does with the arguments of `eight` what the second of them says, in five numbers: 0 to read, 1 to
/// write, 2 to reply with nonsense; then the arguments of `argument_read` or `argument_write`. The value is the result, and in
/// the upper half the first byte that was read.
const OBEDIENT: &str = r#"
    (import "bareflow" "argument_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "bareflow" "argument_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (import "bareflow" "output_write" (func $reply (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 4096) "\10\11\12\13\14\15\16\17\18\19\1a\1b\1c\1d\1e\1f")
    (func (export "bareflow_entry") (param $reason i32) (result i32) (local $count i32)
        (if (i32.lt_u (local.get $reason) (i32.const 256))
            (then (return (i32.add
                (call $read (i32.const 1) (i32.const 0) (i32.const 64) (i32.const 20))
                (call $write (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 20))))))
        (drop (call $read (i32.const 1) (i32.const 0) (i32.const 64) (i32.const 20)))
        (if (i32.eq (i32.load (i32.const 64)) (i32.const 2)) (then
            (memory.fill (i32.const 128) (i32.const 0xff) (i32.const 10000))
            (drop (call $reply (i32.const 128) (i32.const 10000)))
            (return (i32.const 0))))
        (i64.store (i32.const 136) (i64.const 0))
        (i64.store (i32.const 144) (i64.const 0))
        (i32.store8 (i32.const 8192) (i32.const 0))
        (if (i32.load (i32.const 64))
            (then
                (local.set $count (call $write (i32.load (i32.const 68)) (i32.load (i32.const 72))
                    (i32.load (i32.const 76)) (i32.load (i32.const 80))))
                (if (i32.eq (i32.load (i32.const 68)) (i32.const 5)) (then (i32.store (i32.const 136) (local.get $count))))
                (if (i32.eq (i32.load (i32.const 68)) (i32.const 6)) (then (i32.store (i32.const 144) (local.get $count)))))
            (else
                (local.set $count (call $read (i32.load (i32.const 68)) (i32.load (i32.const 72))
                    (i32.load (i32.const 76)) (i32.load (i32.const 80))))))
        (i32.store (i32.const 128) (local.get $count))
        (i32.store (i32.const 132) (i32.load8_u (i32.const 8192)))
        (drop (call $reply (i32.const 128) (i32.const 24)))
        (i32.const 0))"#;

/// Returns a module of this text that exports [`Kinds`].
fn exporting(text: &str) -> Vec<u8> {
    const ENTRIES: [NewEntry; 1] = [NewEntry::of::<dyn Kinds>("")];
    let bindings = encode::<{ encoded_size(&ENTRIES) }>(&ENTRIES);
    let header = Header { magic: MAGIC, name: name_field("obedient").unwrap(), version_major: 1, ..Header::default() };
    let mut section = header.to_bytes().to_vec();
    push_record(&mut section, BINDINGS, &bindings);
    let section: String = section.iter().map(|byte| format!("\\{byte:02x}")).collect();
    wat::parse_str(format!("(module {text} (@custom {SECTION:?} \"{section}\"))")).unwrap()
}

/// The results of a call of `eight`: the value, and the bytes that the provider may write.
type Left = (Result<u64, KindsError>, [Vec<u8>; 4]);

const LETTERS: &str = "text";
const NUMBERS: [u16; 3] = [0x2120, 0x2322, 0x2524];

/// Calls `eight` with a command.
fn command(manager: &Manager, [what, number, offset, address, length]: [u32; 5]) -> Left {
    let bound = manager.bind::<dyn Kinds>("obedient").unwrap();
    let bytes = [what, number, offset, address, length].map(u32::to_le_bytes).concat();
    let (mut d, mut e, mut f, mut g) = ([0xaaaa_aaaa_u32; 2], [0xaaaa_aaaa_aaaa_aaaa_u64; 2], [0xaa; 5], [0; 4]);
    let (mut f, mut g) = (Out::new(&mut f), Out::new(&mut g));
    let point = Point { x: 0x30, ..Point::default() };
    let value = bound.client().eight(LETTERS, &bytes, &NUMBERS, &mut d, &mut e, &mut f, &mut g, &point);
    let words = |words: &[i16]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let left = [
        d.iter().flat_map(|word| word.to_le_bytes()).collect(),
        e.iter().flat_map(|word| word.to_le_bytes()).collect(),
        f.written().to_vec(),
        words(g.written()),
    ];
    (value, left)
}

#[test]
fn arguments_are_reached_within_their_ends_and_nowhere_else() {
    let wasm = exporting(OBEDIENT);
    // The sizes of the arguments, and the first byte of those that can be read.
    let readable = [(4, b't'), (20, 0), (6, 0x20), (8, 0xaa), (16, 0xaa), (0, 0), (0, 0), (16, 0x30)];
    let writable = [0, 0, 0, 8, 16, 5, 8, 0];
    for (maker, domain) in MAKERS.into_iter().flat_map(|maker| Domain::ALL.map(|domain| (maker, domain))) {
        let manager = manager();
        load(&manager, &maker.blob(&wasm), domain);
        assert_eq!(run(&manager, "obedient"), 0, "{maker:?}: a call that is none of a method has no arguments");
        for number in (0..9).chain([255, 1 << 31, u32::MAX]) {
            let (size, first) = readable.get(number as usize).copied().unwrap_or_default();
            let room: u32 = writable.get(number as usize).copied().unwrap_or_default();
            for (offset, length) in [0, 1, 4, 8, 20, 1 << 31, u32::MAX]
                .into_iter()
                .flat_map(|offset| [(offset, 0), (offset, 2), (offset, 50_000)])
            {
                let count = |size: u32| size.saturating_sub(offset).min(length);
                let (read, left) = command(&manager, [0, number, offset, 8192, length]);
                let said = format!("{maker:?}, {domain:?}: {number} at {offset}, {length} bytes");
                assert_eq!(read.map(|value| value as u32), Ok(count(size)), "{said}");
                if offset == 0 && count(size) > 0 && number != 1 {
                    assert_eq!(read.unwrap() >> 32, u64::from(first), "{said}");
                }
                assert_eq!(left, [vec![0xaa; 8], vec![0xaa; 16], vec![], vec![]], "{said}");
                let (written, left) = command(&manager, [1, number, offset, 4096, length]);
                // An odd number of bytes is no number of `i16`.
                let is_odd = number == 6 && count(room) % 2 == 1;
                if !is_odd {
                    assert_eq!(written.map(|value| value as u32), Ok(count(room)), "{said}");
                }
                for (argument, found) in (3..).zip(left) {
                    let mut expected =
                        if argument < 5 { vec![0xaa; writable[argument as usize] as usize] } else { Vec::new() };
                    if argument == number && count(room) > 0 {
                        let (start, end) = (offset as usize, (offset + count(room)) as usize);
                        let pattern = (0x10..).take(end - start);
                        if argument < 5 {
                            expected.splice(start..end, pattern);
                        } else if start == 0 && !is_odd {
                            expected.extend(pattern);
                        } else {
                            continue;
                        }
                    }
                    assert_eq!(found, expected, "{said}: {argument}");
                }
            }
        }
        let (nonsense, _) = command(&manager, [2, 0, 0, 0, 0]);
        assert_eq!(nonsense, Err(KindsError::Call(CallError::BadAnswer)), "{maker:?}, {domain:?}");
    }
}

#[test]
fn arguments_go_to_and_come_from_linear_memory_alone() {
    let wasm = exporting(OBEDIENT);
    for (maker, domain) in MAKERS.into_iter().flat_map(|maker| Domain::ALL.map(|domain| (maker, domain))) {
        let blob = maker.blob(&wasm);
        for (address, length) in [(65_530, 7), (65_536, 1), (u32::MAX, 0), (u32::MAX, u32::MAX), (0, 65_537)] {
            for (what, number) in [(0, 0), (1, 3), (0, 77), (1, 77)] {
                let manager = manager();
                load(&manager, &blob, domain);
                let (value, left) = command(&manager, [what, number, 0, address, length]);
                let said = format!("{maker:?}, {domain:?}: {what} of {number}, {length} bytes at {address}");
                assert_eq!(value, Err(KindsError::Call(CallError::Faulted)), "{said}");
                assert_eq!(left[0], [0xaa; 8], "{said}");
                let id = manager.find("obedient").unwrap();
                let kind = manager.stats(id).unwrap().fault.unwrap().kind;
                assert_eq!(kind, FaultKind::WasmOutOfBoundsMemoryAccess, "{said}");
            }
        }
    }
}
