//! The table of ACPI that says which functions are behind a virtio IOMMU (VIOT, ACPI 6.5, 5.2.34). It may be any bytes.

use alloc::vec::Vec;

/// The length of a table's header, and the offsets of the number of nodes and of the first one.
const HEADER_BYTES: usize = 36;
const COUNT: usize = 36;
const FIRST: usize = 38;

/// The kinds of nodes: a range of functions on PCI, and a virtio IOMMU that is a function on PCI.
const PCI_RANGE: u8 = 1;
const PCI_IOMMU: u8 = 3;

/// A range of functions that are behind an IOMMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    /// The number of the first function's endpoint.
    endpoint: u32,
    /// The first and the last function, as PCI encodes them.
    functions: (u16, u16),
}

/// The functions that are behind one virtio IOMMU on PCI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viot {
    /// The IOMMU's own function.
    iommu: u16,
    ranges: Vec<Range>,
}

/// A table that can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViotError {
    /// The bytes do not add up, or the lengths are wrong.
    #[error("the table VIOT of {0} bytes is damaged: its length or its sum is wrong")]
    Damaged(usize),
    /// A node does not lie in the table, or names one that is none.
    #[error("the node at {0:#x} of the table VIOT does not lie in it, or names no virtio IOMMU on PCI")]
    Node(usize),
    /// There is more than one IOMMU.
    #[error("the table VIOT names several IOMMUs, expected one")]
    Several,
    /// There was no memory.
    #[error("there is no memory for the table VIOT")]
    NoMemory,
}

impl Viot {
    /// Reads a table; `None` if it names no IOMMU on the first segment of PCI.
    ///
    /// # Errors
    /// It can't be.
    pub fn parse(table: &[u8]) -> Result<Option<Viot>, ViotError> {
        let damaged = ViotError::Damaged(table.len());
        let is_whole = table.starts_with(b"VIOT") && read_u32(table, 4) == Some(table.len() as u32);
        if !is_whole || table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) != 0 {
            return Err(damaged);
        }
        let (Some(count), Some(first)) = (read_u16(table, COUNT), read_u16(table, FIRST)) else { return Err(damaged) };
        let mut iommu = None;
        for node in nodes(table, count, first.into()) {
            let (place, bytes) = node?;
            let (Some(segment), Some(function)) = (read_u16(bytes, 4), read_u16(bytes, 6)) else { continue };
            if bytes.first() == Some(&PCI_IOMMU) && segment == 0 && iommu.replace((place, function)).is_some() {
                return Err(ViotError::Several);
            }
        }
        let Some((iommu_place, iommu)) = iommu else { return Ok(None) };
        let mut ranges = Vec::new();
        for node in nodes(table, count, first.into()) {
            let (place, bytes) = node?;
            if bytes.first() != Some(&PCI_RANGE) {
                continue;
            }
            let word = |offset| read_u16(bytes, offset).ok_or(ViotError::Node(place));
            let (endpoint, segments) = (read_u32(bytes, 4).ok_or(ViotError::Node(place))?, (word(8)?, word(10)?));
            let (functions, output) = ((word(12)?, word(14)?), word(16)?);
            let is_known = usize::from(output) == iommu_place;
            let last = endpoint.checked_add(u32::from(functions.1.saturating_sub(functions.0)));
            if !is_known || functions.0 > functions.1 || segments.0 > segments.1 || last.is_none() {
                return Err(ViotError::Node(place));
            }
            if segments.0 == 0 {
                ranges.try_reserve(1).map_err(|_| ViotError::NoMemory)?;
                ranges.push(Range { endpoint, functions });
            }
        }
        Ok(Some(Viot { iommu, ranges }))
    }

    /// Returns the IOMMU's own function, as PCI encodes it.
    #[must_use]
    pub const fn iommu(&self) -> u16 {
        self.iommu
    }

    /// Returns the number by which the IOMMU knows a function; `None` if that is not behind it. The IOMMU is not behind itself.
    #[must_use]
    pub fn endpoint(&self, function: u16) -> Option<u32> {
        let range = self.ranges.iter().find(|range| (range.functions.0..=range.functions.1).contains(&function))?;
        let distance = u32::from(function - range.functions.0);
        (function != self.iommu).then(|| range.endpoint.wrapping_add(distance))
    }

    /// Returns the function that the IOMMU knows by a number, if there is one.
    #[must_use]
    pub fn function(&self, endpoint: u32) -> Option<u16> {
        self.ranges.iter().find_map(|range| range.function(endpoint))
    }
}

impl Range {
    /// Returns the function of an endpoint, if it is one of these.
    fn function(self, endpoint: u32) -> Option<u16> {
        let distance = u16::try_from(endpoint.checked_sub(self.endpoint)?).ok()?;
        self.functions.0.checked_add(distance).filter(|function| *function <= self.functions.1)
    }
}

/// Iterates over the nodes of a table, each with its place; ends behind an error.
fn nodes(table: &[u8], count: u16, first: usize) -> impl Iterator<Item = Result<(usize, &[u8]), ViotError>> {
    let (mut next, mut left) = (first, count);
    core::iter::from_fn(move || {
        left = left.checked_sub(1)?;
        let place = next;
        let length = read_u16(table, place.saturating_add(2)).map_or(0, usize::from);
        let bytes = table.get(place..place.saturating_add(length)).filter(|_| place >= HEADER_BYTES && length >= 4);
        match bytes {
            Some(_) => next += length,
            None => left = 0,
        }
        Some(bytes.map(|bytes| (place, bytes)).ok_or(ViotError::Node(place)))
    })
}

fn read_u16(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn read_u32(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns a table like QEMU's of q35, with other nodes and a sum.
    fn table(nodes: &[&[u8]]) -> Vec<u8> {
        let mut table = alloc::vec![0; 48];
        table[..4].copy_from_slice(b"VIOT");
        table[COUNT] = nodes.len() as u8;
        table[FIRST] = 48;
        nodes.iter().for_each(|node| table.extend_from_slice(node));
        let length = table.len() as u32;
        table[4..8].copy_from_slice(&length.to_le_bytes());
        let sum = table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        table[9] = 0_u8.wrapping_sub(sum);
        table
    }

    fn iommu(function: u16) -> Vec<u8> {
        let [low, high] = function.to_le_bytes();
        [[3, 0, 16, 0, 0, 0, low, high].as_slice(), &[0; 8]].concat()
    }

    fn range(endpoint: u32, functions: (u16, u16), output: u16) -> Vec<u8> {
        let mut node = alloc::vec![0; 24];
        (node[0], node[2]) = (1, 24);
        node[4..8].copy_from_slice(&endpoint.to_le_bytes());
        node[12..14].copy_from_slice(&functions.0.to_le_bytes());
        node[14..16].copy_from_slice(&functions.1.to_le_bytes());
        node[16..18].copy_from_slice(&output.to_le_bytes());
        node
    }

    #[test]
    fn knows_who_is_behind_the_iommu() {
        let viot = Viot::parse(&table(&[&iommu(8), &range(0, (0, 255), 48)])).unwrap().unwrap();
        assert_eq!(viot.iommu(), 8);
        assert_eq!(
            [0, 7, 8, 9, 255, 256].map(|function| viot.endpoint(function)),
            [Some(0), Some(7), None, Some(9), Some(255), None]
        );
        let shifted = Viot::parse(&table(&[&range(1000, (16, 31), 72), &iommu(8)])).unwrap().unwrap();
        assert_eq!([15, 16, 31].map(|function| shifted.endpoint(function)), [None, Some(1000), Some(1015)]);
        let endpoints = [16, 999, 1000, 1015, 1016, u32::MAX];
        assert_eq!(endpoints.map(|endpoint| shifted.function(endpoint)), [None, None, Some(16), Some(31), None, None]);
    }

    #[test]
    fn rejects_tables_that_can_not_be() {
        assert_eq!(Viot::parse(&table(&[&range(0, (0, 255), 48)])), Ok(None));
        assert_eq!(Viot::parse(&table(&[&iommu(8), &iommu(9)])), Err(ViotError::Several));
        assert_eq!(Viot::parse(&table(&[&iommu(8), &range(0, (0, 255), 64)])), Err(ViotError::Node(64)));
        assert_eq!(Viot::parse(&table(&[&iommu(8), &range(0, (9, 8), 48)])), Err(ViotError::Node(64)));
        assert_eq!(Viot::parse(&table(&[&iommu(8), &range(u32::MAX, (0, 1), 48)])), Err(ViotError::Node(64)));
        assert_eq!(Viot::parse(&table(&[&iommu(8), &[1, 0, 0, 0]])), Err(ViotError::Node(64)));
        let mut damaged = table(&[&iommu(8)]);
        damaged[50] ^= 1;
        assert_eq!(Viot::parse(&damaged), Err(ViotError::Damaged(64)));
        assert_eq!(Viot::parse(b"VIOT"), Err(ViotError::Damaged(4)));
    }

    proptest! {
        #[test]
        fn ends_whatever_the_bytes_are(nodes: Vec<u8>, count: u8, first: u16, function: u16) {
            let mut bytes = table(&[&nodes]);
            bytes[COUNT] = count;
            bytes[FIRST..FIRST + 2].copy_from_slice(&first.to_le_bytes());
            let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            bytes[9] = bytes[9].wrapping_sub(sum);
            if let Ok(Some(viot)) = Viot::parse(&bytes) {
                prop_assert!(viot.endpoint(viot.iommu()).is_none());
                _ = viot.endpoint(function);
            }
        }
    }
}
