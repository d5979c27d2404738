//! Frames of strangers: floods, and what is no frame at all.

use alloc::vec;
use alloc::vec::Vec;

use bareflow_tcp::TcpError;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Address,
    Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

use super::connected;
use super::wire::{CONFIG, ME, OWN, OWN_MAC, PEER, PEER_MAC, Wire};

/// Returns a segment of a stranger's.
fn segment(
    address: u32,
    port: u16,
    to: u16,
    control: TcpControl,
    acknowledged: Option<i32>,
    payload: &[u8],
) -> Vec<u8> {
    let (from, own) = (Ipv4Address::from_bits(address), Ipv4Address::from(OWN));
    let tcp = TcpRepr {
        src_port: port,
        dst_port: to,
        control,
        seq_number: TcpSeqNumber(77),
        ack_number: acknowledged.map(TcpSeqNumber),
        window_len: 1000,
        window_scale: None,
        max_seg_size: Some(1460),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    };
    let emit = |bytes: &mut [u8]| {
        tcp.emit(&mut TcpPacket::new_unchecked(bytes), &from.into(), &own.into(), &ChecksumCapabilities::default());
    };
    packet(from, IpProtocol::Tcp, tcp.buffer_len(), emit)
}

/// Returns a frame with a packet to the stack, whose payload `emit` writes.
fn packet(from: Ipv4Address, next_header: IpProtocol, payload_len: usize, emit: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let ip = Ipv4Repr { src_addr: from, dst_addr: Ipv4Address::from(OWN), next_header, payload_len, hop_limit: 64 };
    let mut frame = vec![0; 14 + ip.buffer_len() + payload_len];
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress(PEER_MAC),
        dst_addr: EthernetAddress(OWN_MAC),
        ethertype: EthernetProtocol::Ipv4,
    };
    ethernet.emit(&mut EthernetFrame::new_unchecked(&mut frame));
    ip.emit(&mut Ipv4Packet::new_unchecked(&mut frame[14..]), &ChecksumCapabilities::default());
    emit(&mut frame[34..]);
    frame
}

/// Returns whether a frame is a reset of the peer's connection from a port.
fn is_reset(frame: &[u8], port: u16) -> bool {
    let packet = frame.get(14..).and_then(|packet| Ipv4Packet::new_checked(packet).ok());
    let packet = packet.filter(|packet| frame[12..14] == [8, 0] && packet.dst_addr() == Ipv4Address::from(PEER));
    let tcp = packet.as_ref().and_then(|packet| TcpPacket::new_checked(packet.payload()).ok());
    tcp.is_some_and(|tcp| tcp.rst() && tcp.dst_port() == port)
}

#[test]
fn answers_pings() {
    // A connection, so that it knows the peer's hardware address: until then an answer is dropped, while that is asked for.
    let (mut wire, ..) = connected();
    let all = ChecksumCapabilities::default();
    let ping = Icmpv4Repr::EchoRequest { ident: 3, seq_no: 4, data: b"ping" };
    let emit = |bytes: &mut [u8]| ping.emit(&mut Icmpv4Packet::new_unchecked(bytes), &all);
    wire.own.came.push_back(packet(Ipv4Address::from(PEER), IpProtocol::Icmp, ping.buffer_len(), emit));
    let mut answers = Vec::new();
    for _ in 0..5 {
        wire.step(|frame, is_in, end| {
            let icmp = if is_in { None } else { frame.get(34..).and_then(|icmp| Icmpv4Packet::new_checked(icmp).ok()) };
            if let Some(Ok(Icmpv4Repr::EchoReply { ident, seq_no, data })) =
                icmp.map(|icmp| Icmpv4Repr::parse(&icmp, &all))
            {
                answers.push((ident, seq_no, data.to_vec()));
            }
            end.push_back(frame);
        });
    }
    assert_eq!(answers, [(3, 4, b"ping".to_vec())]);
}

#[test]
fn strangers_that_never_answer_hold_up_no_one() {
    let (mut wire, listener, number, handle) = connected();
    let mut resets = 0;
    for stranger in 0..10_000_u32 {
        // Some are behind the gateway, and some would be on this network.
        let address = if stranger % 2 == 0 { 0x0808_0000 + stranger } else { 0x0a00_0210 + stranger % 200 };
        wire.own.came.push_back(segment(address, stranger as u16, 80, TcpControl::Syn, None, b""));
        if stranger % 20 == 0 {
            // The connection that is there goes on.
            wire.at(handle).send_slice(&[stranger as u8]).unwrap();
            for _ in 0..15 {
                wire.step(|frame, is_in, end| {
                    resets += usize::from(!is_in && is_reset(&frame, 50_000));
                    end.push_back(frame);
                });
            }
            assert_eq!(wire.receive(number), Ok((vec![stranger as u8], false)));
        }
    }
    assert_eq!(resets, 0);
    // As soon as they are fewer than the backlog at a time, others get through.
    let later = wire.connect(80, 50_001);
    for stranger in 0..30 {
        wire.run(2);
        wire.own.came.push_back(segment(0x0808_0808 + stranger, 9, 80, TcpControl::Syn, None, b""));
    }
    assert_eq!(wire.at(later).state(), State::Established);
    assert!(wire.stack.accept(ME, listener).is_ok());
    // And so do connections of the stack's own, in all sockets but four: two connections, what listens, and the newest stranger.
    let all: Vec<_> = (0..CONFIG.connections - 4)
        .map(|_| wire.stack.connect(ME, bareflow_tcp::Peer::new([10, 0, 2, 2], 9)))
        .collect();
    assert!(all.iter().all(Result::is_ok));
}

#[test]
fn a_full_backlog_refuses_and_recovers() {
    let mut wire = Wire::new(CONFIG);
    let listener = wire.stack.listen(ME, 80, 2).unwrap();
    let handles: Vec<_> = (0..4)
        .map(|index| {
            let handle = wire.connect(80, 50_000 + index);
            wire.run(20);
            handle
        })
        .collect();
    let states: Vec<_> = handles.iter().map(|handle| wire.at(*handle).state()).collect();
    assert_eq!(states, [State::Established, State::Established, State::Closed, State::Closed]);
    assert!(wire.stack.accept(ME, listener).is_ok());
    assert!(wire.stack.accept(ME, listener).is_ok());
    assert_eq!(wire.stack.accept(ME, listener), Err(TcpError::NothingYet));
    let late = wire.connect(80, 50_009);
    wire.run(20);
    assert_eq!(wire.at(late).state(), State::Established);
}

#[test]
fn who_never_finishes_after_a_close_holds_up_no_one() {
    let mut wire = Wire::new(CONFIG);
    let listener = wire.stack.listen(ME, 80, 2).unwrap();
    for number in 0..3 * CONFIG.connections as u16 {
        let handle = wire.connect(80, 50_000 + number);
        wire.run(10);
        let connection = wire.stack.accept(ME, listener).unwrap_or_else(|error| panic!("{number}: {error:?}"));
        assert_eq!(wire.stack.send(ME, connection, b"bye"), Ok(3));
        assert_eq!(wire.stack.forget(ME, connection, false), Ok(()));
        wire.run(10);
        let mut got = [0; 8];
        assert_eq!(wire.at(handle).recv_slice(&mut got), Ok(3));
        assert_eq!(wire.at(handle).state(), State::CloseWait);
    }
}

#[test]
fn sequence_numbers_are_not_those_that_smoltcp_draws() {
    let numbers = |secret| {
        let mut wire = Wire::new(crate::stack::Config { secret, ..CONFIG });
        wire.stack.listen(ME, 80, 8).unwrap();
        let mut found = Vec::new();
        for index in 0..4 {
            wire.connect(80, 50_000 + index);
            for _ in 0..20 {
                wire.step(|frame, is_in, end| {
                    let tcp = frame.get(34..).and_then(|tcp| TcpPacket::new_checked(tcp).ok());
                    if let Some(tcp) = tcp.filter(|tcp| !is_in && tcp.syn() && frame[12] == 8 && frame[13] == 0) {
                        found.push(tcp.seq_number().0);
                    }
                    end.push_back(frame);
                });
            }
        }
        found
    };
    // The same generator, and other keys: all differ, and their distances, too.
    let (first, second) = (numbers([1, 2, 3]), numbers([4, 5, 3]));
    assert_eq!((first.len(), second.len()), (4, 4));
    for index in 0..4 {
        assert_ne!(first[index], second[index]);
        let next = (index + 1) % 4;
        assert_ne!(first[next].wrapping_sub(first[index]), second[next].wrapping_sub(second[index]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    /// Frames of any bytes, and segments to open ports with any flags, numbers and payloads, in any order.
    #[test]
    fn no_frame_ends_the_stack(
        junk in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..10),
        segments in prop::collection::vec((0..4_u16, any::<u16>(), any::<[u8; 4]>(), 0..1000_usize), 0..60),
    ) {
        let (mut wire, _, number, handle) = connected();
        for mut frame in junk {
            wire.own.came.push_back(frame.clone());
            if frame.len() > 14 {
                frame[..6].copy_from_slice(&OWN_MAC);
                let kind = if frame[14].is_multiple_of(2) { 0 } else { 6 };
                frame[12..14].copy_from_slice(&[8, kind]);
                wire.own.came.push_back(frame);
            }
        }
        for (port, flags, numbers, length) in segments {
            let mut frame = segment(0x0a00_0202, 50_000 + port, 80, TcpControl::None, Some(i32::from_le_bytes(numbers)), &vec![7; length]);
            let own = Ipv4Address::from(OWN);
            let mut tcp = TcpPacket::new_unchecked(&mut frame[34..]);
            let old = tcp.seq_number();
            tcp.set_seq_number(if flags % 3 == 0 { TcpSeqNumber(i32::from_be_bytes(numbers)) } else { old });
            tcp.set_syn(flags & 4 != 0);
            tcp.set_fin(flags & 8 != 0);
            tcp.set_rst(flags & 16 != 0);
            tcp.set_ack(flags & 32 != 0);
            tcp.set_window_len(flags);
            tcp.fill_checksum(&Ipv4Address::from_bits(0x0a00_0202).into(), &own.into());
            wire.own.came.push_back(frame);
            wire.step(|frame, is_in, end| if is_in { end.push_back(frame) });
        }
        wire.run(50);
        // It may have been reset, if the numbers were right.
        _ = wire.receive(number);
        _ = wire.at(handle).state();
        wire.stack.begin(ME);
        let listener = wire.stack.listen(ME, 81, 4).unwrap();
        let next = wire.connect(81, 51_000);
        wire.run(1500);
        prop_assert_eq!(wire.at(next).state(), State::Established);
        prop_assert!(wire.stack.accept(ME, listener).is_ok());
    }
}
