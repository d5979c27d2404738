//! Calls from a client by a frame to a provider, in place and packed.

use bareflow_abi::interface::{Arguments, Frame, Reply, Serve, Side, Status, Target, client, entry_result};
use bareflow_abi::{CallError, Failure, Interface, Out};
use kinds::Count;
use kinds_interface::{Colour, Kinds, KindsClient, KindsError, Mark, Point};
use proptest::prelude::*;
use std::cell::RefCell;

const NONE: Count = Count { calls: 0 };

/// An embedder that passes calls on to a provider.
struct Embedder {
    provider: RefCell<Count>,
    is_packed: bool,
}

/// Memory for a packed frame, aligned as it must be.
fn aligned(bytes: usize) -> Vec<u128> {
    vec![0; bytes.div_ceil(size_of::<u128>())]
}

fn bytes_of(words: &mut [u128]) -> &mut [u8] {
    // SAFETY: numbers are bytes, and the slice is borrowed.
    unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), size_of_val(words)) }
}

fn enter(provider: &mut Count, method: u32, input: &[u8], output: &mut [u8]) -> i32 {
    // SAFETY: the frame was made for this method.
    let arguments = unsafe { Arguments::new(method, input, output) };
    entry_result(<dyn Kinds as Serve<Count>>::serve(provider, &arguments))
}

impl Target for Embedder {
    fn invoke(&self, method: u32, frame: &mut Frame<'_>) -> Reply {
        let mut provider = self.provider.borrow_mut();
        if !self.is_packed {
            let enter = |input: &[u8], output: &mut [u8]| Ok::<_, ()>(enter(&mut provider, method, input, output));
            return frame.call_in_place(enter).unwrap();
        }
        let (input_size, output_size) = frame.packed_sizes().unwrap();
        let (mut input, mut output) = (aligned(input_size), aligned(output_size));
        frame.pack(|side, at, bytes| {
            let target = if side == Side::Input { &mut input } else { &mut output };
            bytes_of(target)[at..at + bytes.len()].copy_from_slice(bytes);
        });
        let (input, output) = (&bytes_of(&mut input)[..input_size], &mut bytes_of(&mut output)[..output_size]);
        let result = enter(&mut provider, method, input, output);
        frame.take_packed(Status::of_entry(result), |at, bytes| bytes.copy_from_slice(&output[at..at + bytes.len()]))
    }
}

/// Runs `test` with a client whose calls are in place, one whose calls are packed, and the provider itself.
fn with_each(test: impl Fn(&mut dyn Kinds)) {
    for is_packed in [false, true] {
        let embedder = Embedder { provider: RefCell::new(NONE), is_packed };
        let mut kinds: KindsClient<'_> = client::<dyn Kinds, _>(&embedder);
        test(&mut kinds);
    }
    test(&mut { NONE });
}

proptest! {
    #[test]
    fn scalars_arrive(a: u8, b: u16, c: u32, d: u64, e: i8, f: i16, g: i32, h: i64, i: f32, j: f64, k: char) {
        with_each(|kinds| {
            assert_eq!(kinds.unsigned(a, b, c, d), NONE.unsigned(a, b, c, d));
            assert_eq!(kinds.signed(e, f, g, h), NONE.signed(e, f, g, h));
            let sum = kinds.floats(i, j).unwrap();
            assert!(sum == f64::from(i) + j || sum.is_nan());
            assert_eq!(kinds.upper(k), Ok(k.to_ascii_uppercase()));
        });
    }

    #[test]
    fn memory_arrives(text: String, bytes: Vec<u8>, corners: Vec<(i32, i32)>, room in 0..40_usize) {
        let points: Vec<_> = corners.iter().map(|&(x, y)| Point { x, y, ..Point::default() }).collect();
        with_each(|kinds| {
            assert_eq!(kinds.letters(&text), Ok(text.chars().count() as u32));
            assert_eq!(kinds.sum(&bytes, &points), { NONE }.sum(&bytes, &points));
            let (mut bytes, mut points) = (vec![7; room], vec![Point::default(); room + 1]);
            let (mut bytes, mut points) = (Out::new(&mut bytes), Out::new(&mut points));
            assert!(points.push(Point { x: -1, ..Point::default() }));
            let count = text.len().min(room);
            assert_eq!(kinds.append(&text, &mut bytes, &mut points), Ok(count as u64));
            assert_eq!(bytes.written(), &text.as_bytes()[..count]);
            let letters: Vec<_> = [-1].into_iter().chain(text.chars().map(|letter| letter as i32)).take(room + 1).collect();
            assert_eq!(points.written().iter().map(|point| point.x).collect::<Vec<_>>(), letters);
        });
    }
}

#[test]
fn all_kinds_cross_both_ways() {
    with_each(|kinds| {
        assert_eq!((kinds.not(true), kinds.not(false)), (Ok(false), Ok(true)));
        let mut colour = Colour::Red;
        for expected in [Colour::Green, Colour::Blue, Colour::Red] {
            colour = kinds.next_colour(colour).unwrap();
            assert_eq!(colour, expected);
        }
        let mut point = Point { x: 1, y: 2, marks: [Mark { bits: 3 }, Mark { bits: 4 }] };
        assert_eq!(kinds.weigh(&point, &[10, 20, 30]), Ok(70));
        assert_eq!(kinds.swap(&mut point), Ok(()));
        assert_eq!((point.x, point.y, point.marks[0].bits), (2, 1, 3));
        let mut words = [0; 5];
        assert_eq!(kinds.count(5, &mut words), Ok(()));
        assert_eq!(words, [5, 6, 7, 8, 9]);
        assert_eq!(kinds.count(5, &mut []), Ok(()));
        assert_eq!(kinds.seven(), Ok(7));
        assert_eq!(kinds.letters("äö"), Ok(2));
        assert_eq!(kinds.calls(), Ok(5));
    });
}

#[test]
fn eight_arguments_cross() {
    with_each(|kinds| {
        let (mut d, mut e, mut f, mut g) = ([0; 3], [0; 2], [0; 4], [0; 4]);
        let (mut f, mut g) = (Out::new(&mut f), Out::new(&mut g));
        let point = Point { x: 9, y: 8, ..Point::default() };
        let sum = kinds.eight("a", &[1, 2], &[3, 4, 5], &mut d, &mut e, &mut f, &mut g, &point);
        assert_eq!(sum, Ok(1 + 2 + 6 + 12 + 16));
        assert_eq!((d, e, f.written(), g.written()), ([9; 3], [8; 2], &[1, 2][..], &[3][..]));
    });
}

#[test]
fn a_users_checks_hold() {
    with_each(|kinds| assert_eq!(kinds_user::check_kinds(kinds), 0));
}

#[test]
fn errors_come_back() {
    with_each(|kinds| {
        assert_eq!(kinds.fail(0), Ok(()));
        assert_eq!(kinds.fail(1), Err(KindsError::First));
        assert_eq!(kinds.fail(200), Err(KindsError::Middle));
        assert_eq!(kinds.fail(255), Err(KindsError::Last));
        for error in CallError::ALL {
            assert_eq!(kinds.fail(256 + error as u32), Err(KindsError::Call(error)));
        }
    });
}

/// A target that leaves this reply, and this length at each word.
struct Always(Reply, Option<u64>);

impl Target for Always {
    fn invoke(&self, _: u32, frame: &mut Frame<'_>) -> Reply {
        if let Some(length) = self.1 {
            let append = |_: &[u8], output: &mut [u8]| {
                output[8..].chunks_exact_mut(8).for_each(|word| word.copy_from_slice(&length.to_le_bytes()));
                Ok::<_, ()>(0)
            };
            let reply = frame.call_in_place(append).unwrap();
            if reply.status != 0 {
                return reply;
            }
        }
        self.0
    }
}

fn answered<R>(status: u64, value: u64, length: Option<u64>, test: impl Fn(&mut KindsClient<'_>) -> R) -> R {
    let target = Always(Reply { status, value }, length);
    test(&mut client::<dyn Kinds, _>(&target))
}

#[test]
fn every_status_is_an_answer() {
    let bad = Err(KindsError::Call(CallError::BadAnswer));
    for status in 0..0x2_0000_u64 {
        let expected = match status {
            0 => Ok(()),
            1 => Err(KindsError::First),
            200 => Err(KindsError::Middle),
            255 => Err(KindsError::Last),
            0x101..=0x10a | 0x1_0001..=0x1_000a => {
                Err(KindsError::Call(CallError::from_number(status as u32 & 0xff).unwrap()))
            }
            _ => bad,
        };
        assert_eq!(answered(status, 0, None, |kinds| kinds.fail(0)), expected, "{status:#x}");
    }
    for status in [1 << 32, 1 << 32 | 1, 1 << 32 | 0x1_0001, u64::MAX] {
        assert_eq!(answered(status, 0, None, |kinds| kinds.fail(0)), bad, "{status:#x}");
    }
}

#[test]
fn an_answer_of_another_type_is_a_bad_one() {
    let bad = KindsError::Call(CallError::BadAnswer);
    assert_eq!(answered(0, 2, None, |kinds| kinds.not(true)), Err(bad));
    assert_eq!(answered(0, 0xd800, None, |kinds| kinds.upper('a')), Err(bad));
    assert_eq!(answered(0, 0, None, |kinds| kinds.next_colour(Colour::Red)), Err(bad));
    assert_eq!(answered(0, 1 << 32, None, |kinds| kinds.letters("")), Err(bad));
    assert_eq!(answered(0, 256, None, |kinds| kinds.seven()), Err(CallError::BadAnswer));
    // More than there is room for, or half a point.
    for length in [17, 15, 1, u64::MAX] {
        let appended = answered(0, 0, Some(length), |kinds| {
            let (mut bytes, mut points) = ([0; 16], [Point::default(); 1]);
            let (mut bytes, mut points) = (Out::new(&mut bytes), Out::new(&mut points));
            kinds.append("", &mut bytes, &mut points)
        });
        assert_eq!(appended, Err(bad), "{length}");
    }
}

/// Returns what a method's glue makes of these words. None of them leads to memory that is read.
fn served(method: &str, words: &[u64], room: usize) -> Result<u32, CallError> {
    let signatures = <dyn Kinds as Interface>::SIGNATURES;
    let method = signatures.iter().position(|signature| signature.name == method).unwrap();
    let input: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut output = vec![0; room];
    // SAFETY: the words below lead nowhere, or are refused.
    let arguments = unsafe { Arguments::new(method as u32, &input, &mut output) };
    <dyn Kinds as Serve<Count>>::serve(&mut { NONE }, &arguments)
}

#[test]
fn words_of_no_value_are_refused() {
    let bad = Err(CallError::BadArgument);
    assert_eq!(served("not", &[1], 8), Ok(0));
    for word in [2, 255, 256, u64::MAX] {
        assert_eq!(served("not", &[word], 8), bad);
    }
    for word in [0xd800, 0xdfff, 0x11_0000, 1 << 32 | 65, u64::MAX] {
        assert_eq!(served("upper", &[word], 8), bad);
    }
    assert_eq!(served("next_colour", &[-7_i64 as u64], 8), Ok(0));
    for word in [0, 2, 0xffff_fff9, 1 << 32 | 1, u64::MAX] {
        assert_eq!(served("next_colour", &[word], 8), bad);
    }
    assert_eq!(served("unsigned", &[256, 0, 0, 0], 8), bad);
    assert_eq!(served("unsigned", &[0, 0, 1 << 32, 0], 8), bad);
    assert_eq!(served("signed", &[128, 0, 0, 0], 8), bad);
    assert_eq!(served("signed", &[0, 0, 0xffff_ffff, 0], 8), bad);
    assert_eq!(served("floats", &[1 << 32, 0], 8), bad);
}

#[test]
fn words_that_lead_nowhere_are_refused() {
    let bad = Err(CallError::BadArgument);
    assert_eq!(served("letters", &[0x1234_5678_9abc_def0, 0], 8), Ok(0), "nothing is read");
    for length in [isize::MAX as u64 + 1, u64::MAX] {
        assert_eq!(served("letters", &[0, length], 8), bad);
        assert_eq!(served("count", &[1, 0, length & !3], 8), bad);
    }
    // Half elements, and not exactly one.
    assert_eq!(served("count", &[1, 0, 7], 16), bad);
    assert_eq!(served("sum", &[0, 0, 0, 15], 8), bad);
    for length in [0, 8, 32] {
        assert_eq!(served("swap", &[0, length], 8), bad, "{length}");
    }
    // Too few words, and no room for the reply.
    assert_eq!(served("letters", &[0], 8), bad);
    assert_eq!(served("letters", &[], 8), bad);
    assert_eq!(served("letters", &[0, 0], 7), bad);
    assert_eq!(served("append", &[0; 6], 23), bad);
    assert_eq!(served("append", &[0; 6], 24), Ok(0));
}

#[test]
fn unaligned_memory_and_other_bytes_are_refused() {
    let bad = Err(CallError::BadArgument);
    let memory = [0_u64; 8];
    let inside = |at: u64, length: u64, method: &str, rest: &[u64], before: &[u64]| {
        let input = [before, &[at, length], rest].concat();
        let start = memory.as_ptr().expose_provenance() as u64;
        let bytes = (before.len() + 2 + rest.len()) * 8;
        let mut words = vec![0_u64; bytes / 8];
        let base = words.as_mut_ptr().expose_provenance() as u64;
        words.copy_from_slice(&input);
        words[before.len()] = (start + at).wrapping_sub(base);
        let signatures = <dyn Kinds as Interface>::SIGNATURES;
        let method = signatures.iter().position(|signature| signature.name == method).unwrap();
        // SAFETY: words are bytes.
        let input = unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), bytes) };
        let mut output = [0; 8];
        // SAFETY: the words lead to the memory above, which is only read.
        let arguments = unsafe { Arguments::new(method as u32, input, &mut output) };
        <dyn Kinds as Serve<Count>>::serve(&mut { NONE }, &arguments)
    };
    for at in 1..4 {
        assert_eq!(inside(at, 16, "sum", &[], &[0, 0]), bad);
    }
    assert_eq!(inside(4, 16, "sum", &[], &[0, 0]), Ok(0));
    assert_eq!(inside(1, 4, "letters", &[], &[]), Ok(0));
}

#[test]
fn a_text_is_utf8() {
    let text = b"a\xff\0\0\0\0\0\0";
    let words = [16_u64, 8, u64::from_le_bytes(*text)];
    assert_eq!(served("letters", &words, 8), Err(CallError::BadArgument));
    assert_eq!(served("letters", &[16, 8, u64::from_le_bytes(*b"abcdefgh")], 8), Ok(0));
}

#[test]
fn other_methods_are_unknown() {
    let count = <dyn Kinds as Interface>::METHODS.len() as u32;
    for method in [count, 255, u32::MAX] {
        // SAFETY: an unknown method reads no words.
        let arguments = unsafe { Arguments::new(method, &[], &mut []) };
        let served = <dyn Kinds as Serve<Count>>::serve(&mut { NONE }, &arguments);
        assert_eq!((served, entry_result(served)), (Err(CallError::NoSuchMethod), -10));
    }
}

#[test]
fn shared_methods_are_those_with_a_shared_self() {
    for (number, signature) in (0..).zip(<dyn Kinds as Interface>::SIGNATURES) {
        // SAFETY: without words, no memory is reached.
        let arguments = unsafe { Arguments::new(number, &[], &mut []) };
        let served = <dyn Kinds as Serve<Count>>::serve_shared(&NONE, &arguments);
        let expected = if signature.is_exclusive { CallError::NoSuchMethod } else { CallError::BadArgument };
        assert_eq!(served, Err(expected), "{}", signature.name);
    }
}

#[test]
fn the_text_is_rust() {
    let text = <dyn Kinds as Interface>::TEXT;
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("interface kinds 1.2"));
    assert_eq!(lines.next(), Some("fn unsigned(&self, a: u8, b: u16, c: u32, d: u64) -> Result<u64, KindsError>"));
    for line in [
        "fn weigh(&mut self, point: &Point, weights: &[u16; 3]) -> Result<i64, KindsError>",
        "fn append(&mut self, text: &str, bytes: &mut Out<'_, u8>, points: &mut Out<'_, Point>) -> Result<u64, KindsError>",
        "fn count(&mut self, start: u32, words: &mut [u32]) -> Result<(), KindsError>",
        "fn seven(&self) -> Result<u8, CallError>",
        "enum KindsError { First = 1, Middle = 200, Last = 255 }",
        "enum Colour { Red = 1, Green = -7, Blue = -6 }",
        "struct Point { x: i32, y: i32, marks: [Mark; 2] }",
        "struct Mark { bits: u32 }",
    ] {
        assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{line} in\n{text}");
    }
    assert_eq!(text.lines().count(), 1 + <dyn Kinds as Interface>::METHODS.len() + 4);
}

#[test]
fn fingerprints_tell_methods_apart() {
    let mut fingerprints: Vec<_> = <dyn Kinds as Interface>::METHODS.iter().map(|method| method.fingerprint).collect();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), <dyn Kinds as Interface>::METHODS.len());
    let append = <dyn Kinds as Interface>::SIGNATURES.iter().find(|signature| signature.name == "append").unwrap();
    assert_eq!(append.method().fingerprint, 0xc7c4_6cf3_0636_5cec, "numbers in blobs change");
    assert_eq!(<KindsError as Failure>::TYPE.fingerprint(), 0x365f_c974_c75d_5551, "numbers in blobs change");
}
