//! Answers an echo request: an Ethernet frame with an IPv4 packet with an ICMP message.

#![no_std]
#![forbid(unsafe_code)]

use bareflow_abi::Context;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::*;

bareflow_abi::module!(run);

/// The size of a frame: a header of 14 bytes, followed by 1500.
const ROOM: usize = 1514;

/// Writes the frame that answers the input, and returns its length; -1 if there is nothing to answer.
pub fn run(context: &mut Context<'_>) -> i32 {
    let mut frame = [0; ROOM];
    let length = reply(context.input(), &mut frame);
    length.and_then(|length| frame.get(..length)).map_or(-1, |frame| context.write(frame) as i32)
}

fn reply(input: &[u8], frame: &mut [u8; ROOM]) -> Option<usize> {
    let checks = ChecksumCapabilities::default();
    let ethernet = EthernetFrame::new_checked(input).ok()?;
    let ipv4 = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
    let from = Ipv4Repr::parse(&ipv4, &checks).ok()?;
    let icmp = Icmpv4Packet::new_checked(ipv4.payload()).ok()?;
    let Ok(Icmpv4Repr::EchoRequest { ident, seq_no, data }) = Icmpv4Repr::parse(&icmp, &checks) else { return None };
    let message = Icmpv4Repr::EchoReply { ident, seq_no, data };
    let to = Ipv4Repr { src_addr: from.dst_addr, dst_addr: from.src_addr, hop_limit: 64, ..from };
    let mut out = EthernetFrame::new_unchecked(&mut frame[..]);
    EthernetRepr { src_addr: ethernet.dst_addr(), dst_addr: ethernet.src_addr(), ethertype: EthernetProtocol::Ipv4 }
        .emit(&mut out);
    let mut packet = Ipv4Packet::new_unchecked(out.payload_mut());
    to.emit(&mut packet, &checks);
    message.emit(&mut Icmpv4Packet::new_unchecked(packet.payload_mut()), &checks);
    Some(ethernet.as_ref().len().min(14 + to.buffer_len() + message.buffer_len()))
}
