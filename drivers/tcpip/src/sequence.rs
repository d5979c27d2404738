//! Sequence numbers that no one can guess (RFC 6528).
//!
//! smoltcp draws a connection's first one from a generator that is not made to resist prediction (PCG). So each connection's
//! numbers are shifted by a keyed hash of its addresses and ports, on their way out and back.

use core::hash::Hasher;

use siphasher::sip::SipHasher24;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Address, Ipv4Packet, TcpPacket, TcpSeqNumber};

/// The direction of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the stack.
    In,
    /// From the stack.
    Out,
}

/// The key of all connections.
#[derive(Clone, Copy, Debug)]
pub struct Key(pub [u64; 2]);

impl Key {
    /// Returns the hash of some numbers.
    pub fn hash(self, numbers: &[u32]) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.0[0], self.0[1]);
        numbers.iter().for_each(|number| hasher.write_u32(*number));
        hasher.finish()
    }

    /// Shifts the sequence number of a frame that goes out, and the acknowledgement of one that comes in. What is not of TCP
    /// stays as it is.
    pub fn shift(self, frame: &mut [u8], direction: Direction) {
        _ = self.try_shift(frame, direction);
    }

    fn try_shift(self, frame: &mut [u8], direction: Direction) -> Option<()> {
        let mut frame = EthernetFrame::new_checked(frame).ok()?;
        if frame.ethertype() != EthernetProtocol::Ipv4 {
            return None;
        }
        let mut packet = Ipv4Packet::new_checked(frame.payload_mut()).ok()?;
        if packet.next_header() != IpProtocol::Tcp || packet.frag_offset() != 0 {
            return None;
        }
        let (from, to) = (packet.src_addr(), packet.dst_addr());
        let mut segment = TcpPacket::new_checked(packet.payload_mut()).ok()?;
        let ports = (segment.src_port(), segment.dst_port());
        let (old, new) = match direction {
            Direction::Out => {
                let old = segment.seq_number();
                let new = moved(old, self.distance(from, ports.0, to, ports.1));
                segment.set_seq_number(new);
                (old, new)
            }
            Direction::In if segment.ack() => {
                let old = segment.ack_number();
                let new = moved(old, self.distance(to, ports.1, from, ports.0).wrapping_neg());
                segment.set_ack_number(new);
                (old, new)
            }
            Direction::In => return None,
        };
        let sum = segment.checksum();
        segment.set_checksum(updated(sum, old.0 as u32, new.0 as u32));
        Some(())
    }

    /// Returns how far a connection's numbers are shifted.
    fn distance(self, own: Ipv4Address, own_port: u16, other: Ipv4Address, other_port: u16) -> u32 {
        self.hash(&[own.to_bits(), other.to_bits(), u32::from(own_port) << 16 | u32::from(other_port)]) as u32
    }
}

fn moved(number: TcpSeqNumber, distance: u32) -> TcpSeqNumber {
    TcpSeqNumber(number.0.wrapping_add(distance as i32))
}

/// Returns a checksum after a number below it has changed (RFC 1624). One that was wrong stays wrong.
fn updated(sum: u16, old: u32, new: u32) -> u16 {
    let halves = |number: u32| (number >> 16) + (number & 0xffff);
    let mut total = u32::from(!sum) + halves(!old) + halves(new);
    while total > 0xffff {
        total = halves(total);
    }
    !(total as u16)
}
