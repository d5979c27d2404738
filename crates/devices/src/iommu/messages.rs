//! The requests to a virtio IOMMU (5.13.6), and the faults that it reports.

/// The kinds of requests.
const ATTACH: u8 = 1;
const DETACH: u8 = 2;
const MAP: u8 = 3;
const UNMAP: u8 = 4;

/// The flag of a domain in which addresses are those of the memory.
const BYPASS: u32 = 1;

/// The flags of mappings.
const READ_AND_WRITE: u32 = 3;

/// The flags of faults.
const FAULT_READ: u32 = 1;
const FAULT_WRITE: u32 = 2;
const FAULT_ADDRESS: u32 = 1 << 8;

/// The words of a report of a fault.
pub(super) const REPORT_WORDS: usize = 6;

/// The longest request, in words, without what the device writes.
pub(super) const WORDS: usize = 9;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Puts an endpoint into a domain. `bypass`: one in which addresses are those of the memory.
    Attach {
        /// The domain.
        domain: u32,
        /// The endpoint.
        endpoint: u32,
        /// Whether nothing is translated.
        bypass: bool,
    },
    /// Takes an endpoint from its domain.
    Detach {
        /// The domain.
        domain: u32,
        /// The endpoint.
        endpoint: u32,
    },
    /// Maps addresses of a domain, from the first to the last one, to memory.
    Map {
        /// The domain.
        domain: u32,
        /// The first and the last address.
        addresses: (u64, u64),
        /// The first address in memory.
        memory: u64,
    },
    /// Unmaps what is mapped from the first to the last address.
    Unmap {
        /// The domain.
        domain: u32,
        /// The first and the last address.
        addresses: (u64, u64),
    },
}

impl Request {
    /// Returns the words of the request, and how many there are. Behind them the device writes one with the status.
    #[must_use]
    pub const fn words(self) -> ([u32; WORDS], usize) {
        const fn halves(address: u64) -> [u32; 2] {
            [address as u32, (address >> 32) as u32]
        }
        match self {
            Request::Attach { domain, endpoint, bypass } => {
                ([ATTACH as u32, domain, endpoint, if bypass { BYPASS } else { 0 }, 0, 0, 0, 0, 0], 5)
            }
            Request::Detach { domain, endpoint } => ([DETACH as u32, domain, endpoint, 0, 0, 0, 0, 0, 0], 5),
            Request::Map { domain, addresses: (first, last), memory } => {
                let ([a, b], [c, d], [e, f]) = (halves(first), halves(last), halves(memory));
                ([MAP as u32, domain, a, b, c, d, e, f, READ_AND_WRITE], 9)
            }
            Request::Unmap { domain, addresses: (first, last) } => {
                let ([a, b], [c, d]) = (halves(first), halves(last));
                ([UNMAP as u32, domain, a, b, c, d, 0, 0, 0], 7)
            }
        }
    }
}

/// The reason for which a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The device says so.
    #[error("the IOMMU does not take a request: {0}")]
    Refused(&'static str),
    /// The device says what means nothing.
    #[error("the IOMMU answers with {0:#x}, which means nothing")]
    Unknown(u32),
}

/// Reads the word with a request's status.
///
/// # Errors
/// The request failed.
pub const fn status(word: u32) -> Result<(), RequestError> {
    Err(RequestError::Refused(match word {
        0 => return Ok(()),
        1 => "it failed",
        2 => "it can't do that",
        3 => "it met an error of its own",
        4 => "a value is wrong",
        5 => "an address is out of range",
        6 => "there is no such endpoint or domain",
        7 => "it can't reach the request",
        8 => "it has no resources",
        _ => return Err(RequestError::Unknown(word)),
    }))
}

/// The direction of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Not known.
    Unknown,
    /// The device wanted to read.
    Read,
    /// The device wanted to write.
    Write,
}

/// An access that the IOMMU refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The endpoint.
    pub endpoint: u32,
    /// The address, if it is known.
    pub address: Option<u64>,
    /// The direction.
    pub direction: Direction,
}

impl Fault {
    /// Reads a report, of which the device wrote `length` bytes; `None` if that is not all.
    #[must_use]
    pub const fn parse(words: [u32; REPORT_WORDS], length: u32) -> Option<Fault> {
        let [_, flags, endpoint, _, low, high] = words;
        if length < REPORT_WORDS as u32 * 4 {
            return None;
        }
        let address = if flags & FAULT_ADDRESS != 0 { Some((high as u64) << 32 | low as u64) } else { None };
        let direction = match flags & (FAULT_READ | FAULT_WRITE) {
            FAULT_READ => Direction::Read,
            FAULT_WRITE => Direction::Write,
            _ => Direction::Unknown,
        };
        Some(Fault { endpoint, address, direction })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_requests_as_specified() {
        let map = Request::Map { domain: 2, addresses: (1 << 32, (1 << 32) + 0xfff), memory: 0x5_0000_3000 };
        assert_eq!(map.words(), ([3, 2, 0, 1, 0xfff, 1, 0x3000, 5, 3], 9));
        let unmap = Request::Unmap { domain: 2, addresses: (0x1000, u64::MAX) };
        assert_eq!(unmap.words(), ([4, 2, 0x1000, 0, u32::MAX, u32::MAX, 0, 0, 0], 7));
        let attach = Request::Attach { domain: 2, endpoint: 24, bypass: true };
        assert_eq!(attach.words(), ([1, 2, 24, 1, 0, 0, 0, 0, 0], 5));
        assert_eq!(Request::Detach { domain: 2, endpoint: 24 }.words(), ([2, 2, 24, 0, 0, 0, 0, 0, 0], 5));
    }

    #[test]
    fn reads_what_the_device_answers() {
        assert_eq!(status(0), Ok(()));
        assert!(matches!(status(5), Err(RequestError::Refused(_))));
        assert_eq!(status(0x100), Err(RequestError::Unknown(0x100)));
        let fault = Fault { endpoint: 24, address: Some(0x1_0000_2000), direction: Direction::Write };
        assert_eq!(Fault::parse([2, 0x102, 24, 0, 0x2000, 1], 24), Some(fault));
        assert_eq!(Fault::parse([2, 1, 24, 0, 0x2000, 1], 24).unwrap().address, None);
        assert_eq!(Fault::parse([2, 0x102, 24, 0, 0x2000, 1], 23), None);
    }
}
