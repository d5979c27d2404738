//! The same crates that are native modules, as portable ones, give the same results.

mod common;

use bareflow_abi::header::{FLAG_STATE, SERVICE_CALL};
use bareflow_abi::interface::{CallError, Reply, Status};
use bareflow_abi::state::StateHeader;
use bareflow_abi::{CallRefusal, Reason};
use bareflow_guests::{Argument, Ending, Guest, Outcome};
use common::guest;

#[test]
fn the_four_modules_give_their_results() {
    for (name, expected) in [("fibonacci", 6765), ("sum", 5050), ("compute", 4_488_500), ("primes", 168)] {
        let mut guest = guest(&format!("modules/{name}"));
        let header = guest.header.unwrap();
        assert_eq!(header.name_bytes(), name.as_bytes());
        assert_eq!((header.machine, header.text_size, header.checksum), (0, 0, 0));
        for _ in 0..2 {
            let outcome = guest.run(b"").unwrap();
            assert_eq!((outcome.result, outcome.output.len()), (expected, 0), "{name}");
        }
    }
}

#[test]
fn input_and_output_are_those_of_a_native_module() {
    let mut echo = guest("tests/modules/echo");
    for length in [0, 1, 5, 70_000, 300_000, 3, 0] {
        let input: Vec<_> = (0..length).map(|index| index as u8).collect();
        let outcome = echo.call(Reason::Run as u32, &input, 100_000).unwrap();
        let fitted = length.min(100_000);
        assert_eq!((outcome.result, outcome.output), (fitted as i32, input[..fitted].to_vec()));
    }
    assert_eq!(echo.call(Reason::Run as u32, &[1; 1 << 20], 3).unwrap().output, [1; 3]);
    echo.host().log.clear();
    echo.run(b"a line").unwrap();
    assert_eq!(echo.host().log, ["a line"]);
    // The largest input of a client fits, and not much more.
    assert_eq!(echo.run(&vec![0; 2 << 20]), Err(Ending::OutOfHeap));
    assert_eq!(echo.run(b"again").unwrap().output, b"again");
}

#[test]
fn a_state_is_saved_and_restored() {
    let mut old = guest("tests/modules/counter");
    assert_ne!(old.header.unwrap().flags & FLAG_STATE, 0);
    for (calls, input) in (1..).zip(["a", "bc", "def"]) {
        assert_eq!(old.run(input.as_bytes()).unwrap().result, calls);
    }
    let saved = old.call(Reason::Save as u32, b"", 1 << 10).unwrap();
    assert_eq!((saved.result, saved.output.len()), (0, 24));
    // As the loader passes it on: the version, the schema, the state.
    let schema = schema_of(&common::try_build("tests/modules/counter").unwrap().bytes);
    let header = StateHeader { version: [0, 1, 0], schema_length: schema.len() as u32 };
    let input = [&header.to_bytes()[..], &schema, &saved.output].concat();
    let mut new = guest("tests/modules/counter");
    assert_eq!(new.call(Reason::Migrate as u32, &input, 0).unwrap().result, 0);
    let next = new.run(b"").unwrap();
    assert_eq!((next.result, next.output.as_slice()), (4, &[0, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0][..]));
    let cut = new.call(Reason::Migrate as u32, &input[..input.len() - 1], 0).unwrap();
    assert_ne!(cut.result, 0);
    // A state that does not fit the output is not saved in part without notice.
    assert_ne!(new.call(Reason::Save as u32, b"", 1).unwrap().result, 0);
    // A division by zero is a trap, as it is a fault in native code; `core` checks for it first.
    assert!(matches!(new.run(b"fault"), Err(Ending::Panic(message, ..)) if message.contains("divide by zero")));
}

/// Returns the schema in a module's description.
fn schema_of(bytes: &[u8]) -> Vec<u8> {
    let wasm = bareflow_packer::wasm::Wasm::read(bytes).unwrap();
    let section = wasm.custom(bareflow_portable::description::SECTION).unwrap();
    let description = bareflow_portable::description::Description::read(section).unwrap();
    let schema = description.records().find(|(kind, _)| *kind == bareflow_abi::record::STATE_SCHEMA);
    schema.unwrap().1.to_vec()
}

#[test]
fn methods_cross_between_two_portable_modules() {
    let mut user = guest("tests/modules/kinds-user");
    assert_eq!(user.run(b"").unwrap().output, [CallError::NotBound as u8]);
    let mut provider = guest("tests/modules/kinds");
    user.host().provide =
        Box::new(move |interface, method, arguments| provider.call_method(interface, method, arguments));
    assert_eq!(user.run(b"").unwrap().result, 0, "the number of the check that does not hold");
    for error in [0_u32, 1, 200, 255] {
        assert_eq!(user.call_function(0, &error.to_le_bytes()).unwrap().result, error as i32);
    }
}

/// The method of `Kinds` that sums up bytes and points.
const SUM: u32 = 7;

#[test]
fn a_provider_without_memory_for_the_arguments_says_so_and_goes_on() {
    let mut provider = guest("tests/modules/kinds");
    let mut sum = |bytes: usize| -> Reply {
        provider.call_method("kinds", SUM, &mut vec![Argument::Read(vec![1; bytes]), Argument::Read(Vec::new())])
    };
    assert_eq!(sum(100), Reply { status: 0, value: 100 });
    assert_eq!(Status::from_number(sum(8 << 20).status), Status::Refused(0x100 | CallError::NoMemory as u16));
    assert_eq!(sum(1 << 20), Reply { status: 0, value: 1 << 20 });
    let half_a_point =
        provider.call_method("kinds", SUM, &mut vec![Argument::Read(vec![]), Argument::Read(vec![0; 9])]);
    assert_eq!(Status::from_number(half_a_point.status), Status::Failed(CallError::BadArgument));
    let unknown = provider.call_method("kinds", 200, &mut Vec::new());
    assert_eq!(Status::from_number(unknown.status), Status::Failed(CallError::NoSuchMethod));
}

#[test]
fn parameters_are_set_before_init_and_read() {
    let expected = "1500/1500 false bareflow 0% 100 255 7 18446744073709551615 -1 -32768 20 -9223372036854775808";
    let blob = common::try_build("tests/modules/settings").unwrap();
    let mut settings = Guest::new(&blob.bytes).unwrap();
    assert_eq!(settings.run(b"").unwrap(), Outcome { result: 1, output: expected.as_bytes().to_vec() });
    let mut hostname = [0; 33];
    hostname[..2].copy_from_slice(b"\x01x");
    let values: [&[u8]; 13] = [
        &9000_u32.to_le_bytes(),
        &[1],
        &hostname,
        &u32::from(';').to_le_bytes(),
        &0.5_f64.to_le_bytes(),
        &0.25_f32.to_le_bytes(),
        &[1],
        &2_u16.to_le_bytes(),
        &3_u64.to_le_bytes(),
        &4_i8.to_le_bytes(),
        &5_i16.to_le_bytes(),
        &6_i32.to_le_bytes(),
        &7_i64.to_le_bytes(),
    ];
    let mut settings = Guest::without_init(&blob.bytes).unwrap();
    assert_eq!(settings.call(Reason::Parameters as u32, &values.concat(), 0).unwrap().result, 0);
    assert_eq!(settings.call(Reason::Init as u32, b"", 0).unwrap().result, 0);
    assert_eq!(settings.run(b"").unwrap().output, b"9000/9000 true x;50% 250 1 2 3 4 5 6 7");
    assert_ne!(settings.call(Reason::Parameters as u32, &values.concat(), 0).unwrap().result, 0);
}

#[test]
fn a_panic_says_all_that_a_native_one_does() {
    let mut panics = guest("tests/modules/kinds");
    let Err(Ending::Panic(message, file, line)) = panics.call(256 + 1 + 13, &fail_with(1000), 64) else {
        panic!("it did not panic")
    };
    assert_eq!((message.as_str(), line > 0), ("asked to", true));
    assert!(file.ends_with("tests/modules/kinds/src/lib.rs") && !file.starts_with('/'), "{file}");
}

/// The frame of a call of `Kinds::fail`.
fn fail_with(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

#[test]
fn modules_are_called_and_refused_by_the_host() {
    let mut relay = guest("tests/modules/relay");
    assert_ne!(relay.header.unwrap().services & SERVICE_CALL, 0);
    assert_eq!(relay.run(b"echo hello").unwrap().result, -100 - CallRefusal::NotDeclared as i32);
    relay.host().answer = Box::new(|name, input| match name {
        "echo" => Ok((input.len() as i32, input.to_vec())),
        _ => Err(CallRefusal::NotLoaded as u32),
    });
    assert_eq!(relay.run(b"echo hello").unwrap(), Outcome { result: 5, output: b"hello".to_vec() });
    assert_eq!(relay.run(b"other hello").unwrap().result, -100 - CallRefusal::NotLoaded as i32);
}

#[test]
fn a_heap_is_as_large_as_cargo_toml_says() {
    let mut heap = guest("tests/modules/heap");
    assert_eq!(heap.run(b"").unwrap(), Outcome { result: 1000, output: b"0110100101102103".to_vec() });
    assert_eq!(heap.run(b"deep").unwrap().result, 1000);
    let account = |heap: &mut Guest| {
        let outcome = heap.call(Reason::Account as u32, b"", 16).unwrap();
        [0, 8].map(|at| u64::from_le_bytes(outcome.output[at..at + 8].try_into().unwrap()))
    };
    assert_eq!(account(&mut heap), [0, 0]);
    assert_eq!(heap.run(b"leak").unwrap().result, 0);
    assert_eq!(account(&mut heap), [3, 300]);
    let kib = heap.run(b"try").unwrap().result;
    let declared = common::portable("tests/modules/heap").settings.heap_size().unwrap();
    let most = (declared.next_multiple_of(64 << 10) / 1024 + 17 * 64) as i32;
    assert!((most - 200..=most).contains(&kib), "{kib} KiB of {most}");
    assert_eq!(heap.run(b"exhaust"), Err(Ending::OutOfHeap));
}

#[test]
fn what_a_module_does_not_use_is_not_there() {
    let blob = common::try_build("modules/primes").unwrap();
    let wasm = bareflow_packer::wasm::Wasm::read(&blob.bytes).unwrap();
    assert!(wasm.imports.is_empty());
    let memory = wasm.memory.unwrap();
    assert_eq!(memory.maximum, Some(memory.initial));
    assert!(blob.bytes.len() < 512, "{} bytes", blob.bytes.len());
    assert!(Guest::new(&blob.bytes[..blob.bytes.len() - 1]).is_err());
}
