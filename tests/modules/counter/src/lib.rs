//! Counts its calls, and records the lengths of its last inputs. Returns the count.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;

bareflow_abi::state! {
    /// The state that survives a reload.
    pub struct Counter {
        /// The number of calls.
        pub calls: u64 = 0,
        /// The lengths of the last inputs, latest first.
        pub lengths: [u32; 4] = [0; 4],
    }
}

bareflow_abi::module!(count, state = Counter);

/// Counts a call. With the input `fault`, it faults after that.
pub fn count(context: &mut Context<'_>, counter: &mut Counter) -> i32 {
    counter.calls += 1;
    if context.input() == b"fault" {
        let nothing = context.input().get(5).copied().unwrap_or(0);
        return 1 / i32::from(nothing);
    }
    let [first, second, third, _] = counter.lengths;
    counter.lengths = [context.input().len() as u32, first, second, third];
    for length in counter.lengths {
        context.write(&length.to_le_bytes());
    }
    i32::try_from(counter.calls).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bareflow_abi::Services;

    #[test]
    fn counts() {
        let mut counter = Counter { calls: 41, lengths: [1, 2, 3, 4] };
        let result = count(&mut Context::new(&Services::NONE, b"input", &mut []), &mut counter);
        assert_eq!((result, counter), (42, Counter { calls: 42, lengths: [5, 1, 2, 3] }));
    }
}
