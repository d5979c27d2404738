//! Uses random numbers: writes as many random bytes as the input has.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::{Context, Out};
use bareflow_random::{Random, RandomError};

bareflow_abi::module!(random, imports = { random: Random });

/// Writes as many random bytes as the input has, at most 64, after eight that are a number of its own. Returns the
/// number of bytes, or the number of the error, negative.
pub fn random(context: &mut Context<'_>, with: Imports<'_>) -> i32 {
    let mut room = [0; 64];
    let length = context.input().len().min(room.len());
    let mut bytes = Out::new(&mut room[..length]);
    match with.random.next_u64().and_then(|number| with.random.fill(&mut bytes).map(|()| number)) {
        Ok(number) => (context.write(&number.to_le_bytes()) + context.write(bytes.written())) as i32,
        Err(RandomError::Unavailable) => -1,
        Err(RandomError::Call(error)) => -256 - error as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bareflow_abi::{CallError, Services};

    #[test]
    fn an_import_without_a_provider_is_not_bound() {
        let mut context = Context::new(&Services::NONE, b"", &mut []);
        let with = Imports::of(&context);
        assert_eq!(random(&mut context, with), -256 - CallError::NotBound as i32);
    }
}
