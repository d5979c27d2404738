//! Sorts the same numbers by two algorithms: `bareflow compare sort.sort_quicksort sort.sort_mergesort`.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;

/// The number of numbers.
const COUNT: usize = 4096;

/// The length up to which numbers are sorted by insertion.
const SHORT: usize = 16;

bareflow_abi::module!(exports = [sort_quicksort, sort_mergesort]);

/// Sorts random numbers, which the input seeds, in place by quicksort. Returns their checksum; -1 if they are in no order.
pub fn sort_quicksort(context: &mut Context<'_>) -> i32 {
    let mut numbers = numbers(context.input());
    quicksort(&mut numbers);
    checksum(&numbers)
}

/// Sorts the same numbers by merge sort, with a buffer. Returns their checksum; -1 if they are in no order.
pub fn sort_mergesort(context: &mut Context<'_>) -> i32 {
    let mut numbers = numbers(context.input());
    mergesort(&mut numbers, &mut [0; COUNT]);
    checksum(&numbers)
}

/// Returns random numbers (Marsaglia's xorshift).
fn numbers(seed: &[u8]) -> [u32; COUNT] {
    let mut word = seed.iter().fold(1_u32, |word, &byte| word.wrapping_mul(31).wrapping_add(byte.into())).max(1);
    core::array::from_fn(|_| {
        word ^= word << 13;
        word ^= word >> 17;
        word ^= word << 5;
        word
    })
}

/// Returns a number that tells in which order the numbers are; -1 if they do not ascend.
fn checksum(numbers: &[u32]) -> i32 {
    let sum = numbers.iter().fold(0_u32, |sum, &number| sum.wrapping_mul(31).wrapping_add(number));
    if numbers.is_sorted() { (sum >> 1) as i32 } else { -1 }
}

fn quicksort(mut numbers: &mut [u32]) {
    while numbers.len() > SHORT {
        let count = partition(numbers);
        let (low, high) = numbers.split_at_mut(count);
        // The shorter part first: so calls lie in each other no deeper than the logarithm of the length.
        let (shorter, longer) = if low.len() < high.len() { (low, high) } else { (high, low) };
        quicksort(shorter);
        numbers = longer;
    }
    insertion_sort(numbers);
}

/// Moves the smaller numbers to the front, by Hoare's scheme. Returns how many those are: neither none nor all.
fn partition(numbers: &mut [u32]) -> usize {
    let (mut left, mut right) = (0, numbers.len() - 1);
    let [first, middle, last] = [0, numbers.len() / 2, right].map(|index| numbers[index]);
    // The median. Some number is not smaller and another is not larger, at which the searches end.
    let pivot = first.min(middle).max(first.max(middle).min(last));
    loop {
        while numbers[left] < pivot {
            left += 1;
        }
        while numbers[right] > pivot {
            right -= 1;
        }
        if left >= right {
            return right + 1;
        }
        numbers.swap(left, right);
        left += 1;
        right -= 1;
    }
}

fn mergesort(numbers: &mut [u32], buffer: &mut [u32]) {
    if numbers.len() <= SHORT {
        return insertion_sort(numbers);
    }
    let (low, high) = numbers.split_at_mut(numbers.len() / 2);
    mergesort(low, buffer);
    mergesort(high, buffer);
    let (mut lows, mut highs) = (low.iter().peekable(), high.iter().peekable());
    let next = || match (lows.peek(), highs.peek()) {
        (Some(low), Some(high)) if low > high => highs.next(),
        (None, _) => highs.next(),
        _ => lows.next(),
    };
    buffer.iter_mut().zip(core::iter::from_fn(next)).for_each(|(target, number)| *target = *number);
    numbers.iter_mut().zip(buffer).for_each(|(target, number)| *target = *number);
}

fn insertion_sort(numbers: &mut [u32]) {
    for end in 1..numbers.len() {
        let number = numbers[end];
        let place = numbers[..end].partition_point(|before| *before <= number);
        numbers.copy_within(place..end, place + 1);
        numbers[place] = number;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::vec::Vec;

    #[test]
    fn both_sort_at_every_length() {
        for length in 0..300 {
            for spread in [1, 2, 7, u32::MAX] {
                let mut numbers: Vec<_> =
                    numbers(&[3]).into_iter().take(length).map(|number| number % spread).collect();
                let (mut others, mut expected) = (numbers.clone(), numbers.clone());
                expected.sort_unstable();
                quicksort(&mut numbers);
                mergesort(&mut others, &mut [0; COUNT]);
                assert_eq!((&numbers, &others), (&expected, &expected));
            }
        }
        let mut ascending: Vec<u32> = (0..1000).collect();
        quicksort(&mut ascending);
        assert_eq!(checksum(&ascending), checksum(&(0..1000).collect::<Vec<_>>()));
    }
}
