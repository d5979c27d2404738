extern crate std;

use super::*;
use ArgumentKind::{Out, Scalar, Slice, SliceMut, Text};
use std::vec;
use std::vec::Vec;

const SHAPE: Shape = Shape::new(true, &[Text, Scalar, SliceMut, Out, Slice]);

/// Provides the method of the tests for a packed frame: upper case into the slice, the text appended.
fn provide(input: &[u8], output: &mut [u8]) -> i32 {
    let word = |at: usize| u64::from_le_bytes(input[at * 8..][..8].try_into().unwrap()) as usize;
    let text = &input[word(0)..][..word(1)];
    assert_eq!(word(2), 7);
    let start = word(3);
    output[start..][..word(4)].make_ascii_uppercase();
    output[word(5)..][..text.len()].copy_from_slice(text);
    assert_eq!(&input[word(7)..][..word(8)], b"slice");
    output[..8].copy_from_slice(&42_u64.to_le_bytes());
    output[8..16].copy_from_slice(&(text.len() as u64).to_le_bytes());
    0
}

/// Returns the words of a call with these pieces.
fn words(text: &str, written: &mut [u8], room: &mut [u8], slice: &[u8]) -> [u64; 9] {
    let of = |bytes: &[u8]| [bytes.as_ptr().expose_provenance() as u64, bytes.len() as u64];
    let ([a, b], [c, d], [e, f], [g, h]) = (of(text.as_bytes()), of(written), of(room), of(slice));
    [a, b, 7, c, d, e, f, g, h]
}

#[test]
fn carries_all_pieces_in_its_packed_form() {
    let (mut written, mut room) = (*b"abc", [0; 8]);
    let mut words = words("text", &mut written, &mut room, b"slice");
    // SAFETY: the words are those of slices that are borrowed, and overlap no others.
    let mut frame = unsafe { Frame::new(SHAPE, &mut words) }.unwrap();
    let (input, output) = frame.packed_sizes().unwrap();
    assert_eq!((input, output), (96 + 5, 32 + 8));
    let (mut input, mut output) = (vec![0; input], vec![0; output]);
    let packed = frame.pack(|side, at, bytes| {
        let target = if side == Side::Input { &mut input } else { &mut output };
        target[at..at + bytes.len()].copy_from_slice(bytes);
    });
    assert_eq!(packed, Some((input.len(), output.len())));
    let result = provide(&input, &mut output);
    let reply =
        frame.take_packed(Status::of_entry(result), |at, bytes| bytes.copy_from_slice(&output[at..at + bytes.len()]));
    assert_eq!(reply, Reply { status: 0, value: 42 });
    assert_eq!(frame.appended().collect::<Vec<_>>(), [4]);
    assert_eq!((&written, &room), (b"ABC", b"text\0\0\0\0"));
}

#[test]
fn unpacks_what_it_packs_and_rejects_all_else() {
    let (mut written, mut room) = (*b"abc", [0; 8]);
    let mut words = words("text", &mut written, &mut room, b"slice");
    // SAFETY: as above.
    let mut frame = unsafe { Frame::new(SHAPE, &mut words) }.unwrap();
    let (input, output) = frame.packed_sizes().unwrap();
    let (mut input, mut output) = (vec![0; input], vec![0; output]);
    frame.pack(|side, at, bytes| {
        let target = if side == Side::Input { &mut input } else { &mut output };
        target[at..at + bytes.len()].copy_from_slice(bytes);
    });
    assert_eq!(Frame::sizes_of_packed(SHAPE, &input), Some((input.len(), output.len())));
    assert_eq!(Frame::sizes_of_packed(SHAPE, &input[..71]), None);
    let mut pieces = Vec::new();
    let mut words = [0; MAX_WORDS];
    Frame::unpack(SHAPE, &mut words, &input, &mut output).unwrap().for_each_piece(|piece| {
        pieces.push(match piece {
            Piece::Read(bytes) => bytes.to_vec(),
            Piece::Write(bytes) | Piece::Append(bytes) => bytes.to_vec(),
        });
    });
    assert_eq!(pieces, [b"text".to_vec(), b"abc".to_vec(), [0; 8].to_vec(), b"slice".to_vec()]);
    for (word, value) in [(0, 81), (0, 0), (1, 17), (1, u64::MAX), (3, 0), (4, 1 << 62), (5, 0), (6, 9), (8, 4), (8, 6)]
    {
        let mut other = input.clone();
        other[word * 8..][..8].copy_from_slice(&u64::to_le_bytes(value));
        assert!(Frame::unpack(SHAPE, &mut words, &other, &mut output).is_none(), "{word} {value}");
    }
    for length in 0..input.len() {
        assert!(Frame::unpack(SHAPE, &mut words, &input[..length], &mut output).is_none());
    }
    for length in 0..output.len() {
        assert!(Frame::unpack(SHAPE, &mut words, &input, &mut output[..length]).is_none());
    }
}

#[test]
fn leads_a_provider_to_the_callers_own_memory() {
    let (mut written, mut room) = (*b"abc", [0; 8]);
    let mut words = words("text", &mut written, &mut room, b"slice");
    let target = words;
    // SAFETY: as above.
    let mut frame = unsafe { Frame::new(SHAPE, &mut words) }.unwrap();
    let reply = frame.call_in_place(|input, output| {
        let bases = [input, output].map(|side| side.as_ptr().addr() as u64);
        let word = |at: usize| u64::from_le_bytes(input[at * 8..][..8].try_into().unwrap());
        for (at, base) in [(0, bases[0]), (3, bases[1]), (5, bases[1]), (7, bases[0])] {
            assert_eq!(word(at).wrapping_add(base), target[at]);
        }
        assert_eq!((input.len(), output.len()), (72, 16));
        output[8..16].copy_from_slice(&9_u64.to_le_bytes());
        Ok::<_, ()>(3)
    });
    // More was appended than there was room.
    assert_eq!(reply, Ok(Status::Failed(CallError::BadAnswer).into()));
    assert_eq!(frame.appended().collect::<Vec<_>>(), [8]);
}

#[test]
fn does_again_what_a_call_did() {
    let (mut written, mut room) = (*b"abc", [0; 8]);
    let mut words = words("text", &mut written, &mut room, b"slice");
    let first = words;
    // SAFETY: as above.
    let mut frame = unsafe { Frame::new(SHAPE, &mut words) }.unwrap();
    let results = [&42_u64.to_le_bytes()[..], &4_u64.to_le_bytes(), b"ABC", b"more"].concat();
    assert_eq!(frame.restore_results(&results), Some(42));
    let mut saved = Vec::new();
    frame.save_results(42, |bytes| saved.extend_from_slice(bytes));
    assert_eq!(saved, results);
    assert_eq!((&written, &room), (b"ABC", b"more\0\0\0\0"));
    for length in 0..results.len() {
        let mut words = first;
        // SAFETY: as above.
        let mut frame = unsafe { Frame::new(SHAPE, &mut words) }.unwrap();
        assert_eq!(frame.restore_results(&results[..length]), None, "{length}");
    }
    let mut words = first;
    // SAFETY: as above.
    let mut frame = unsafe { Frame::new(SHAPE, &mut words) }.unwrap();
    assert_eq!(frame.restore_results(&[&[0; 8][..], &9_u64.to_le_bytes(), b"ABC", b"more than"].concat()), None);
}

#[test]
fn rejects_another_number_of_words() {
    let (mut eight, mut nine) = ([0; 8], [0; 9]);
    // SAFETY: all lengths are 0.
    assert!(unsafe { Frame::new(SHAPE, &mut eight) }.is_none());
    // SAFETY: as above.
    let mut frame = unsafe { Frame::new(SHAPE, &mut nine) }.unwrap();
    assert_eq!(frame.packed_sizes(), Some((80, 16)));
    assert_eq!(frame.take_packed(Status::Refused(1), |_, _| ()), Status::Refused(1).into());
}
