//! The encoder of fix-ups: each as its distance from the one before, in LEB128.

use bareflow_abi::leb128::write;

use crate::error::PackError;

/// Returns the number and the encoded form of fix-ups at these ascending offsets.
pub(crate) fn encode(fixups: &[u64]) -> Result<(u32, Vec<u8>), PackError> {
    let mut encoded = Vec::new();
    let mut previous = None;
    for &fixup in fixups {
        if let Some(before) = previous.filter(|before| fixup < before + 8) {
            return Err(PackError::OverlappingFixups { first: before, second: fixup });
        }
        write(fixup - previous.unwrap_or(0), &mut |bytes| encoded.extend_from_slice(bytes));
        previous = Some(fixup);
    }
    Ok((crate::size(fixups.len())?, encoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_shortest_form() {
        assert_eq!(encode(&[]), Ok((0, vec![])));
        assert_eq!(encode(&[0, 8, 136]), Ok((3, vec![0, 8, 0x80, 1])));
        assert_eq!(encode(&[0x4000_0000]), Ok((1, vec![0x80, 0x80, 0x80, 0x80, 0x04])));
    }

    #[test]
    fn rejects_fixups_that_overlap() {
        assert_eq!(encode(&[8, 12]), Err(PackError::OverlappingFixups { first: 8, second: 12 }));
    }
}
