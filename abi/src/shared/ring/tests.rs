extern crate std;

use super::memory::{ELEMENTS, WORD};
use super::*;
use core::sync::atomic::Ordering;
use std::collections::VecDeque;
use std::vec::Vec;

/// Memory for a ring, aligned.
struct Memory(Vec<u64>);

impl Memory {
    fn new<T: Plain>(capacity: usize) -> Memory {
        Memory(std::vec![0; ring_bytes::<T>(capacity) / WORD])
    }

    fn bytes(&mut self) -> SharedBytes<'_> {
        // SAFETY: eight bytes a word, borrowed alone.
        unsafe { SharedBytes::from_raw(self.0.as_mut_ptr().cast(), 8 * self.0.len()) }
    }
}

/// Numbers that look like chance, the same at each run.
fn numbers() -> impl FnMut() -> u32 {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) as u32
    }
}

#[test]
fn is_a_queue_in_any_order_of_pushes_and_pops_across_calls() {
    let mut next = numbers();
    for capacity in [1, 2, 8, 64] {
        let mut memory = Memory::new::<[u8; 12]>(capacity);
        let bytes = memory.bytes();
        let (mut model, mut count) = (VecDeque::new(), 0_u32);
        // Close to where the indices wrap.
        let start = u64::from(u32::MAX - 500) * 0x1_0000_0001;
        bytes.atomic_u32(PUSHED).unwrap().store(start as u32, Ordering::Relaxed);
        bytes.atomic_u32(POPPED).unwrap().store(start as u32, Ordering::Relaxed);
        let mut positions = (start, start);
        for _ in 0..2000 {
            let mut producer = Producer::<[u8; 12]>::new(bytes, positions.0).unwrap();
            let mut consumer = Consumer::<[u8; 12]>::new(bytes, positions.1).unwrap();
            assert_eq!((producer.capacity(), consumer.capacity()), (capacity as u32, capacity as u32));
            for _ in 0..next() % 5 {
                let value = core::array::from_fn(|index| (count.wrapping_mul(31) >> index) as u8);
                match producer.push(value) {
                    Ok(()) => model.push_back(value),
                    other => assert_eq!((other, model.len()), (Err(RingError::Full), capacity)),
                }
                count += 1;
            }
            for _ in 0..next() % 5 {
                assert_eq!(consumer.pop(), Ok(model.pop_front()));
            }
            positions = (producer.position(), consumer.position());
        }
    }
}

/// Indices near all places where arithmetic could go wrong, relative to `base`.
fn indices(base: u32) -> impl Iterator<Item = u32> + Clone {
    let around = |at: u32| (0..40_u32).map(move |offset| at.wrapping_add(offset).wrapping_sub(20));
    around(base).chain(around(0)).chain(around(1 << 31)).chain(around(base.wrapping_add(1 << 31)))
}

#[test]
fn believes_no_index_that_lies_or_runs_backwards() {
    const CAPACITY: u32 = 8;
    for base in [0, 100, 1 << 31, u32::MAX - 3] {
        for (own, claimed) in (0..=CAPACITY).flat_map(|ahead| indices(base).map(move |claimed| (ahead, claimed))) {
            let mut memory = Memory::new::<u64>(CAPACITY as usize);
            let bytes = memory.bytes();
            // The producer has pushed `own` more than it saw popped; the consumer claims to have popped up to `claimed`.
            bytes.atomic_u32(POPPED).unwrap().store(claimed, Ordering::Relaxed);
            let position = u64::from(base.wrapping_add(own)) | u64::from(base) << 32;
            let mut producer = Producer::<u64>::new(bytes, position).unwrap();
            let mut pushed = 0;
            let end = loop {
                match producer.push(1) {
                    Ok(()) => pushed += 1,
                    Err(error) => break error,
                }
                assert!(pushed <= 2 * CAPACITY);
            };
            // It only looked once it had filled what it knew to be free.
            let popped = claimed.wrapping_sub(base);
            if popped > CAPACITY {
                assert_eq!((end, pushed), (RingError::BadIndex, CAPACITY - own));
                assert_eq!(producer.push(1), Err(RingError::BadIndex));
            } else {
                assert_eq!((end, pushed), (RingError::Full, CAPACITY - own + popped));
            }
        }
        for claimed in indices(base) {
            let mut memory = Memory::new::<u64>(CAPACITY as usize);
            let bytes = memory.bytes();
            bytes.atomic_u32(PUSHED).unwrap().store(claimed, Ordering::Relaxed);
            let mut consumer = Consumer::<u64>::new(bytes, u64::from(base) * 0x1_0000_0001).unwrap();
            let pushed = claimed.wrapping_sub(base);
            if pushed > CAPACITY {
                assert_eq!([consumer.pop(), consumer.pop()], [Err(RingError::BadIndex); 2]);
            } else {
                (0..pushed).for_each(|_| assert_eq!(consumer.pop(), Ok(Some(0))));
                assert_eq!(consumer.pop(), Ok(None));
                // What was pushed is not taken back.
                bytes.atomic_u32(PUSHED).unwrap().store(claimed.wrapping_sub(1), Ordering::Relaxed);
                assert_eq!(consumer.pop(), Err(RingError::BadIndex));
            }
        }
    }
}

#[test]
fn own_index_is_not_what_the_other_side_writes() {
    let mut memory = Memory::new::<u64>(4);
    let bytes = memory.bytes();
    let mut producer = Producer::new(bytes, 0).unwrap();
    producer.push(7_u64).unwrap();
    bytes.atomic_u32(PUSHED).unwrap().store(1000, Ordering::Relaxed);
    producer.push(8).unwrap();
    let mut consumer = Consumer::new(bytes, 0).unwrap();
    assert_eq!([consumer.pop(), consumer.pop(), consumer.pop()], [Ok(Some(7)), Ok(Some(8)), Ok(None)]);
}

#[test]
fn rejects_memory_that_holds_no_element() {
    let mut memory = Memory::new::<u64>(4);
    let bytes = memory.bytes();
    for length in [0, 1, ELEMENTS - 1, ELEMENTS, ELEMENTS + 7] {
        let part = bytes.part(0, length).unwrap();
        assert_eq!(Producer::<u8>::new(part, 0).err(), Some(RingError::TooSmall), "{length}");
        assert_eq!(Consumer::<u8>::new(part, 0).err(), Some(RingError::TooSmall), "{length}");
    }
    for start in [1, 4] {
        let part = bytes.part(start, bytes.len() - start).unwrap();
        assert_eq!(Producer::<u8>::new(part, 0).err(), Some(RingError::TooSmall), "{start}");
    }
    assert_eq!(Producer::<[u64; 5]>::new(bytes, 0).err(), Some(RingError::TooSmall));
    assert_eq!(Producer::<[u64; 3]>::new(bytes, 0).unwrap().capacity(), 1);
}

#[test]
fn counts_elements_without_bytes() {
    let mut memory = Memory::new::<[u64; 0]>(4);
    let bytes = memory.bytes();
    let mut producer = Producer::<[u64; 0]>::new(bytes, 0).unwrap();
    let mut consumer = Consumer::<[u64; 0]>::new(bytes, 0).unwrap();
    for _ in 0..producer.capacity() {
        producer.push([]).unwrap();
    }
    assert_eq!(producer.push([]), Err(RingError::Full));
    assert_eq!(consumer.pop(), Ok(Some([])));
    assert_eq!(ring_bytes::<[u64; 0]>(4), ring_bytes::<u64>(4));
    assert_eq!(ring_bytes::<u64>(usize::MAX), usize::MAX);
}
