//! Frames that no honest host sends: floods of requests, and captured frames with everything wrong that can be.

use fastrand::Rng;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr,
    TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

use crate::segments::{STRANGERS, packet};

/// The lengths of the headers of Ethernet and of IPv4.
const ETHERNET: usize = 14;
const IP: usize = 20;

/// A host that is attacked, and an open port of it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The hardware address.
    pub mac: [u8; 6],
    /// The address.
    pub address: [u8; 4],
    /// The port.
    pub port: u16,
}

/// A function that makes a frame from a captured one with a packet.
type Make = fn(&mut Hostile, Vec<u8>) -> Vec<u8>;

/// All kinds of frames.
const KINDS: [Make; 11] = [
    // Of a connection that lives: the checksums are wrong.
    |this, frame| this.flipped(frame),
    |this, mut frame| {
        frame.truncate(this.random.usize(1..frame.len()));
        frame
    },
    // Of strangers, with checksums that are right.
    |this, frame| this.changed(frame, &[(2, 4)]),
    |this, frame| this.changed(frame, &[(0, 1)]),
    |this, frame| this.changed(frame, &[(6, 8)]),
    |this, frame| this.changed(frame, &[(9, 10)]),
    |this, frame| this.changed(frame, &[(IP + 12, IP + 13)]),
    |this, frame| this.changed(frame, &[(IP + 12, IP + 14), (IP + 20, IP + 40)]),
    |this, frame| this.changed(frame, &[(IP + 2, IP + 20)]),
    |this, _| this.forged(),
    |this, _| this.junk(),
];

/// A source of frames.
#[derive(Debug)]
pub struct Hostile {
    random: Rng,
    target: Target,
    next: usize,
}

impl Hostile {
    /// Makes the source of a seed.
    #[must_use]
    pub fn new(target: Target, seed: u64) -> Hostile {
        Hostile { random: Rng::with_seed(seed), target, next: 0 }
    }

    /// Returns a request for a connection by a stranger who never answers.
    pub fn request(&mut self) -> Vec<u8> {
        let (from, port) = (self.stranger(), self.random.u16(1..));
        self.syn(from, port)
    }

    /// Returns the next frame that is wrong, made from one of those that were captured.
    pub fn wrong(&mut self, captured: &[Vec<u8>]) -> Vec<u8> {
        let packets: Vec<_> = captured.iter().filter(|frame| packet(frame).is_some()).collect();
        let frame = self.random.choice(packets).cloned().unwrap_or_else(|| self.request());
        let make = KINDS[self.next % KINDS.len()];
        self.next += 1;
        make(self, frame)
    }

    fn stranger(&mut self) -> Ipv4Address {
        Ipv4Address::new(STRANGERS[0], STRANGERS[1], self.random.u8(..), self.random.u8(..))
    }

    fn syn(&self, from: Ipv4Address, port: u16) -> Vec<u8> {
        let Target { mac, address, port: to } = self.target;
        let own = Ipv4Address::from(address);
        let tcp = TcpRepr {
            src_port: port,
            dst_port: to,
            control: TcpControl::Syn,
            seq_number: TcpSeqNumber(i32::from(port)),
            ack_number: None,
            window_len: 65_000,
            window_scale: Some(2),
            max_seg_size: Some(1460),
            sack_permitted: true,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        let payload_len = tcp.buffer_len();
        let ip = Ipv4Repr { src_addr: from, dst_addr: own, next_header: IpProtocol::Tcp, payload_len, hop_limit: 64 };
        let mut frame = vec![0; ETHERNET + IP + payload_len];
        let (src_addr, dst_addr) = (EthernetAddress([2, 0, 0, 0, 0, 66]), EthernetAddress(mac));
        let ethernet = EthernetRepr { src_addr, dst_addr, ethertype: EthernetProtocol::Ipv4 };
        ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame));
        ip.emit(&mut Ipv4Packet::new_unchecked(&mut frame[ETHERNET..]), &ChecksumCapabilities::default());
        let mut segment = TcpPacket::new_unchecked(&mut frame[ETHERNET + IP..]);
        tcp.emit(&mut segment, &from.into(), &own.into(), &ChecksumCapabilities::default());
        frame
    }

    /// Flips one bit, which each checksum tells.
    fn flipped(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        let bit = self.random.usize(8 * ETHERNET..8 * frame.len());
        frame[bit / 8] ^= 1 << (bit % 8);
        frame
    }

    /// Makes a stranger's of a frame, with other bytes from these starts to these ends of the packet.
    fn changed(&mut self, mut frame: Vec<u8>, places: &[(usize, usize)]) -> Vec<u8> {
        let from = self.stranger();
        let packet = &mut frame[ETHERNET..];
        packet[12..16].copy_from_slice(&from.octets());
        for (start, end) in places {
            if let Some(bytes) = packet.get_mut(*start..*end) {
                self.random.fill(bytes);
            }
        }
        // The sum of the pseudo-header is in that of the segment.
        if let Some((ip, segment)) = packet.split_at_mut_checked(IP)
            && segment.len() >= IP
        {
            segment[16..18].fill(0);
            let length = (segment.len() as u16).to_be_bytes();
            let pseudo_header = [&ip[12..20], &[0, ip[9]], &length].concat();
            let sum = checksum(&[&pseudo_header, segment]);
            segment[16..18].copy_from_slice(&sum);
        }
        let header = (4 * usize::from(packet[0] & 15)).clamp(IP, packet.len());
        packet[10..12].fill(0);
        let sum = checksum(&[&packet[..header]]);
        packet[10..12].copy_from_slice(&sum);
        frame
    }

    /// Returns a request that claims to be by whom it is sent to, or by everyone.
    fn forged(&mut self) -> Vec<u8> {
        let [a, b, c, d] = self.target.address;
        let sources = [[a, b, c, d], [a, b, c, 255], [255; 4], [0; 4], [127, 0, 0, 1], [224, 0, 0, 1]];
        let from = self.random.choice(sources).unwrap_or([0; 4]);
        self.syn(from.into(), self.target.port)
    }

    /// Returns any bytes: to the target, of a known protocol.
    fn junk(&mut self) -> Vec<u8> {
        let mut frame = vec![0; self.random.usize(1..1600)];
        self.random.fill(&mut frame);
        let ethertype = self.random.choice([[8, 0], [8, 6], [0x86, 0xdd], [0x81, 0], [0, 0]]).unwrap_or_default();
        if let Some(head) = frame.first_chunk_mut::<ETHERNET>() {
            head[..6].copy_from_slice(&self.target.mac);
            head[12..].copy_from_slice(&ethertype);
        }
        frame
    }
}

/// Returns the checksum of the Internet (RFC 1071) of parts, of which all but the last are of even length.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 = words.map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segments::{Sent, is_for_stranger};

    const TARGET: Target = Target { mac: [2, 0, 0, 0, 0, 1], address: [10, 0, 2, 15], port: 80 };

    #[test]
    fn requests_are_good_ones() {
        let frame = Hostile::new(TARGET, 1).request();
        let packet = packet(&frame).unwrap();
        assert!(packet.verify_checksum() && !is_for_stranger(&frame));
        let segment = TcpPacket::new_checked(packet.payload()).unwrap();
        assert!(segment.syn() && segment.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into()));
        let mut sent = Sent::default();
        assert!(!sent.is_again(&frame) && !sent.is_again(&frame));
    }

    #[test]
    fn a_changed_frame_has_checksums_that_are_right() {
        let mut hostile = Hostile::new(TARGET, 2);
        let request = hostile.request();
        for _ in 0..100 {
            let frame = hostile.changed(request.clone(), &[(IP + 4, IP + 12)]);
            let packet = packet(&frame).unwrap();
            let segment = TcpPacket::new_checked(packet.payload()).unwrap();
            assert!(packet.verify_checksum());
            assert!(segment.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into()));
        }
    }

    #[test]
    fn a_flipped_frame_has_one_that_is_not() {
        let mut hostile = Hostile::new(TARGET, 3);
        let request = hostile.request();
        for _ in 0..1000 {
            let frame = hostile.flipped(request.clone());
            let is_right = packet(&frame).is_some_and(|packet| {
                let segment = TcpPacket::new_checked(packet.payload());
                let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
                packet.verify_checksum() && segment.is_ok_and(|segment| segment.verify_checksum(&from, &to))
            });
            assert!(!is_right, "{frame:x?}");
        }
    }

    #[test]
    fn each_kind_is_made_of_each_frame() {
        let mut hostile = Hostile::new(TARGET, 4);
        let mut short = hostile.request();
        short.truncate(ETHERNET + IP);
        for captured in [vec![], vec![hostile.request()], vec![short], vec![vec![0; 3]]] {
            for _ in 0..1000 {
                assert!(!hostile.wrong(&captured).is_empty());
            }
        }
    }
}
