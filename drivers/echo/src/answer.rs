//! The answers to frames, made in place.

use bareflow_nic::MAX_FRAME_BYTES;
use smoltcp::wire::{
    ArpOperation, ArpPacket, EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4Message, Icmpv4Packet, IpProtocol,
    Ipv4Address, Ipv4Packet, UdpPacket,
};

/// The port of the echo service (RFC 862).
const ECHO: u16 = 7;

/// Makes the answer to a frame of that frame, for a card with these addresses. Returns its length; `None` if there is none, as to a
/// frame that is longer than one may be that is sent.
pub fn answer(frame: &mut [u8], mac: EthernetAddress, ip: Ipv4Address) -> Option<usize> {
    let mut ethernet = EthernetFrame::new_checked(frame).ok()?;
    let asker = ethernet.src_addr();
    if ethernet.dst_addr() != mac && !ethernet.dst_addr().is_broadcast() || !asker.is_unicast() {
        return None;
    }
    let length = match ethernet.ethertype() {
        EthernetProtocol::Arp => answer_arp(ethernet.payload_mut(), mac, ip)?,
        EthernetProtocol::Ipv4 => answer_ip(ethernet.payload_mut(), ip)?,
        _ => return None,
    };
    ethernet.set_dst_addr(asker);
    ethernet.set_src_addr(mac);
    Some(EthernetFrame::<&[u8]>::header_len() + length).filter(|length| *length <= MAX_FRAME_BYTES as usize)
}

fn answer_arp(packet: &mut [u8], mac: EthernetAddress, ip: Ipv4Address) -> Option<usize> {
    let mut packet = ArpPacket::new_checked(packet).ok()?;
    if packet.operation() != ArpOperation::Request || packet.target_protocol_addr() != ip.octets() {
        return None;
    }
    let (asker, asker_ip) = (copy::<6>(packet.source_hardware_addr())?, copy::<4>(packet.source_protocol_addr())?);
    packet.set_operation(ArpOperation::Reply);
    packet.set_target_hardware_addr(&asker);
    packet.set_target_protocol_addr(&asker_ip);
    packet.set_source_hardware_addr(mac.as_bytes());
    packet.set_source_protocol_addr(&ip.octets());
    // Twice six and twice four bytes behind eight.
    Some(28)
}

fn copy<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

fn answer_ip(packet: &mut [u8], ip: Ipv4Address) -> Option<usize> {
    let mut packet = Ipv4Packet::new_checked(packet).ok()?;
    let (from, to) = (packet.src_addr(), packet.dst_addr());
    if to != ip || !packet.verify_checksum() || packet.more_frags() || packet.frag_offset() != 0 {
        return None;
    }
    let length = usize::from(packet.total_len());
    let protocol = packet.next_header();
    match protocol {
        IpProtocol::Icmp => answer_ping(packet.payload_mut())?,
        IpProtocol::Udp => answer_udp(packet.payload_mut(), from, to)?,
        _ => return None,
    }
    packet.set_src_addr(to);
    packet.set_dst_addr(from);
    packet.set_hop_limit(64);
    packet.fill_checksum();
    Some(length)
}

fn answer_ping(packet: &mut [u8]) -> Option<()> {
    let mut packet = Icmpv4Packet::new_checked(packet).ok()?;
    if packet.msg_type() != Icmpv4Message::EchoRequest || !packet.verify_checksum() {
        return None;
    }
    packet.set_msg_type(Icmpv4Message::EchoReply);
    packet.fill_checksum();
    Some(())
}

fn answer_udp(packet: &mut [u8], from: Ipv4Address, to: Ipv4Address) -> Option<()> {
    let mut packet = UdpPacket::new_checked(packet).ok()?;
    let port = packet.src_port();
    // Two such services would never end.
    if packet.dst_port() != ECHO || port <= ECHO || !packet.verify_checksum(&from.into(), &to.into()) {
        return None;
    }
    packet.set_dst_port(port);
    packet.set_src_port(ECHO);
    packet.fill_checksum(&to.into(), &from.into());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
    const IP: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);

    /// The question of QEMU's network for the address of 10.0.2.15.
    const WHO_HAS: [u8; 42] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x55, 0x0a, 0x00, 0x02, 0x02, 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1,
        0x52, 0x55, 0x0a, 0x00, 0x02, 0x02, 10, 0, 2, 2, 0, 0, 0, 0, 0, 0, 10, 0, 2, 15,
    ];

    #[test]
    fn says_who_it_is() {
        let mut frame = WHO_HAS;
        assert_eq!(answer(&mut frame, MAC, IP), Some(42));
        assert_eq!(frame[..12], [0x52, 0x55, 0x0a, 0, 2, 2, 2, 0, 0, 0, 0, 1]);
        assert_eq!(frame[20..], [0, 2, 2, 0, 0, 0, 0, 1, 10, 0, 2, 15, 0x52, 0x55, 0x0a, 0, 2, 2, 10, 0, 2, 2]);
        let mut other = WHO_HAS;
        assert_eq!(answer(&mut other, MAC, Ipv4Address::new(10, 0, 2, 16)), None);
        assert_eq!(answer(&mut frame, MAC, IP), None);
    }

    #[test]
    fn survives_frames_that_are_cut_or_changed() {
        for length in 0..WHO_HAS.len() {
            let mut frame = WHO_HAS;
            assert_eq!(answer(&mut frame[..length], MAC, IP), None, "{length}");
        }
        for bit in 0..8 * WHO_HAS.len() {
            let mut frame = WHO_HAS;
            frame[bit / 8] ^= 1 << (bit % 8);
            answer(&mut frame, MAC, IP);
        }
    }

    #[test]
    fn answers_no_frame_that_is_too_long_to_be_sent() {
        for (length, is_answered) in [(MAX_FRAME_BYTES as usize, true), (MAX_FRAME_BYTES as usize + 1, false)] {
            let mut frame = [0; 2048];
            let frame = &mut frame[..length];
            let mut ethernet = EthernetFrame::new_unchecked(&mut *frame);
            ethernet.set_dst_addr(MAC);
            ethernet.set_src_addr(EthernetAddress([2, 0, 0, 0, 0, 2]));
            ethernet.set_ethertype(EthernetProtocol::Ipv4);
            let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
            packet.set_version(4);
            packet.set_header_len(20);
            packet.set_total_len(length as u16 - 14);
            packet.set_next_header(IpProtocol::Icmp);
            packet.set_dst_addr(IP);
            packet.fill_checksum();
            let mut ping = Icmpv4Packet::new_unchecked(packet.payload_mut());
            ping.set_msg_type(Icmpv4Message::EchoRequest);
            ping.fill_checksum();
            assert_eq!(answer(frame, MAC, IP), is_answered.then_some(length));
        }
    }
}
