//! The fields of TCP segments in frames.

use std::collections::HashMap;

use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Address, Ipv4Packet, TcpPacket, TcpSeqNumber};

/// The network of strangers that never answer, which RFC 2544 sets apart for measurements: 198.18.0.0/15.
pub const STRANGERS: [u8; 2] = [198, 18];

/// Returns the packet of a frame, if it is of IPv4.
pub fn packet(frame: &[u8]) -> Option<Ipv4Packet<&[u8]>> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    (frame.ethertype() == EthernetProtocol::Ipv4).then(|| Ipv4Packet::new_checked(frame.payload()).ok()).flatten()
}

/// Returns whether a frame goes to a stranger.
pub fn is_for_stranger(frame: &[u8]) -> bool {
    let is_stranger =
        |address: Ipv4Address| address.octets()[0] == STRANGERS[0] && address.octets()[1] & !1 == STRANGERS[1];
    packet(frame).is_some_and(|packet| is_stranger(packet.dst_addr()))
}

/// The end of what each connection was seen to send.
#[derive(Debug, Default)]
pub struct Sent(HashMap<(Ipv4Address, u16, Ipv4Address, u16), TcpSeqNumber>);

impl Sent {
    /// Notes a frame. Returns whether it is data that was sent before.
    pub fn is_again(&mut self, frame: &[u8]) -> bool {
        self.note(frame).unwrap_or_default()
    }

    fn note(&mut self, frame: &[u8]) -> Option<bool> {
        let packet = packet(frame).filter(|packet| packet.next_header() == IpProtocol::Tcp)?;
        let segment = TcpPacket::new_checked(packet.payload()).ok()?;
        let key = (packet.src_addr(), segment.src_port(), packet.dst_addr(), segment.dst_port());
        let end = segment.seq_number() + segment.payload().len();
        if segment.syn() {
            self.0.insert(key, end);
            return Some(false);
        }
        let before = self.0.entry(key).or_insert(end);
        if end > *before {
            *before = end;
            return Some(false);
        }
        Some(!segment.payload().is_empty())
    }
}
