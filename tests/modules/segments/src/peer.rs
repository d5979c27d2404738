//! The peer: another host on the wire, with one connection.

use bareflow_nic::{Nic, NicError};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, ETHERNET_HEADER_LEN, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, IPV4_HEADER_LEN, IpProtocol, Ipv4Address, Ipv4Packet, Ipv4Repr, TCP_HEADER_LEN, TcpControl,
    TcpPacket, TcpRepr, TcpSeqNumber,
};

use super::Trouble;
use super::card::{Card, MOST};

/// The addresses of the stack that is measured, and of this host.
const STACK: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
const PEER: Ipv4Address = Ipv4Address::new(10, 0, 2, 2);

/// The port that the stack listens at.
pub const PORT: u16 = 7000;

/// The bytes before a segment's payload.
pub const HEADERS: usize = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN + TCP_HEADER_LEN;

/// The lengths of the longest frame, and of a question for an address (RFC 826).
const FRAME_BYTES: usize = 1514;
const ARP_BYTES: usize = 28;

/// The bytes that may be on their way to this host.
const WINDOW: u16 = u16::MAX;

/// The host.
pub struct Peer<'client, N> {
    card: Card<'client, N>,
    /// The stack's hardware address; that of all hosts until it is known.
    stack: EthernetAddress,
    /// The port of the connection, and the payload of a segment.
    port: u16,
    payload: usize,
    /// The byte that is sent next (RFC 9293, 3.3.1).
    snd_nxt: TcpSeqNumber,
    /// The first byte that the stack has not acknowledged.
    snd_una: TcpSeqNumber,
    /// The byte that the stack sends next; `None` before its first.
    rcv_nxt: Option<TcpSeqNumber>,
    /// Whether the stack has reset the connection.
    is_reset: bool,
}

impl<'client, N: Nic> Peer<'client, N> {
    /// Makes it without a connection.
    pub fn new(card: Card<'client, N>) -> Peer<'client, N> {
        let first = TcpSeqNumber(1000);
        Peer {
            card,
            stack: EthernetAddress::BROADCAST,
            port: 20_000,
            payload: 0,
            snd_nxt: first,
            snd_una: first,
            rcv_nxt: None,
            is_reset: false,
        }
    }

    /// Asks for the stack's hardware address.
    pub fn ask(&mut self) -> Result<(), NicError> {
        let mut frame = [0; ETHERNET_HEADER_LEN + ARP_BYTES];
        let own = EthernetAddress(self.card.address);
        let ethernet = EthernetRepr { src_addr: own, dst_addr: self.stack, ethertype: EthernetProtocol::Arp };
        ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame[..]));
        let question = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: own,
            source_protocol_addr: PEER,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: STACK,
        };
        question.emit(&mut ArpPacket::new_unchecked(&mut frame[ETHERNET_HEADER_LEN..]));
        self.card.write(0, &frame)?;
        self.card.send(&[frame.len()])
    }

    /// Begins a connection with segments of a payload.
    pub fn connect(&mut self, payload: usize) -> Result<(), NicError> {
        (self.port, self.payload, self.rcv_nxt) = (self.port + 1, payload, None);
        let length = self.write(0, TcpControl::Syn, &[])?;
        self.snd_nxt += 1;
        self.card.send(&[length])
    }

    /// Returns whether the stack's address is known.
    pub fn knows_stack(&self) -> bool {
        self.stack != EthernetAddress::BROADCAST
    }

    /// Returns whether the stack has answered with a segment of this connection.
    pub fn is_answered(&self) -> bool {
        self.rcv_nxt.is_some()
    }

    /// Returns whether the stack has all that was sent.
    pub fn is_acknowledged(&self) -> bool {
        self.snd_una == self.snd_nxt
    }

    /// Acknowledges what came.
    pub fn acknowledge(&mut self) -> Result<(), NicError> {
        let length = self.write(0, TcpControl::None, &[])?;
        self.card.send(&[length])
    }

    /// Sends so many segments.
    pub fn send(&mut self, count: usize) -> Result<(), NicError> {
        let bytes = [7; FRAME_BYTES - HEADERS];
        let mut lengths = [0; MOST];
        for (place, length) in lengths.iter_mut().take(count).enumerate() {
            *length = self.write(place, TcpControl::Psh, &bytes[..self.payload])?;
            self.snd_nxt += self.payload;
        }
        self.card.send(&lengths[..count])
    }

    /// Receives what came. Returns the bytes of it that are the connection's next ones.
    pub fn receive(&mut self) -> Result<usize, Trouble> {
        let Peer { card, stack, port, rcv_nxt, snd_una, is_reset, .. } = self;
        let mut bytes = 0;
        card.receive(|frame| {
            let Ok(frame) = EthernetFrame::new_checked(frame) else { return };
            match frame.ethertype() {
                EthernetProtocol::Arp => *stack = frame.src_addr(),
                EthernetProtocol::Ipv4 => {
                    let packet = Ipv4Packet::new_checked(frame.payload()).ok();
                    let Some(tcp) = packet.as_ref().and_then(|packet| TcpPacket::new_checked(packet.payload()).ok())
                    else {
                        return;
                    };
                    // Those of connections before are over.
                    if tcp.dst_port() != *port {
                        return;
                    }
                    *is_reset |= tcp.rst();
                    let came = tcp.payload().len();
                    if tcp.ack() {
                        *snd_una = tcp.ack_number();
                    }
                    if tcp.syn() {
                        *rcv_nxt = Some(tcp.seq_number() + 1);
                    } else if *rcv_nxt == Some(tcp.seq_number()) {
                        *rcv_nxt = Some(tcp.seq_number() + came);
                        bytes += came;
                    }
                }
                _ => {}
            }
        })?;
        if *is_reset { Err(Trouble::Never("the stack reset the connection")) } else { Ok(bytes) }
    }

    /// Writes the next segment into a buffer. Returns the frame's length.
    fn write(&mut self, place: usize, control: TcpControl, payload: &[u8]) -> Result<usize, NicError> {
        let tcp = TcpRepr {
            src_port: self.port,
            dst_port: PORT,
            control,
            seq_number: self.snd_nxt,
            ack_number: self.rcv_nxt,
            window_len: WINDOW,
            window_scale: None,
            max_seg_size: (control == TcpControl::Syn).then_some(self.payload as u16),
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        };
        let ip = Ipv4Repr {
            src_addr: PEER,
            dst_addr: STACK,
            next_header: IpProtocol::Tcp,
            payload_len: tcp.buffer_len(),
            hop_limit: 64,
        };
        let ethernet = EthernetRepr {
            src_addr: EthernetAddress(self.card.address),
            dst_addr: self.stack,
            ethertype: EthernetProtocol::Ipv4,
        };
        let mut frame = [0; FRAME_BYTES];
        let length = ETHERNET_HEADER_LEN + IPV4_HEADER_LEN + tcp.buffer_len();
        let frame = frame.get_mut(..length).ok_or(NicError::BadBuffer)?;
        let checksums = ChecksumCapabilities::default();
        ethernet.emit(&mut EthernetFrame::new_unchecked(&mut *frame));
        ip.emit(&mut Ipv4Packet::new_unchecked(&mut frame[ETHERNET_HEADER_LEN..]), &checksums);
        tcp.emit(
            &mut TcpPacket::new_unchecked(&mut frame[ETHERNET_HEADER_LEN + IPV4_HEADER_LEN..]),
            &PEER.into(),
            &STACK.into(),
            &checksums,
        );
        self.card.write(place, frame)?;
        Ok(length)
    }
}
