//! Frames of strangers that mean no good, while honest clients are served.

use std::io::{Read, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bareflow_wire::Wire;
use bareflow_wire::hostile::{Hostile, Target};

use crate::transfers::{ask_echo, connect_to_echo, download, download_with, during, pattern};

/// The stack behind QEMU's card.
const TARGET: Target = Target { mac: [0x52, 0x54, 0, 0x12, 0x34, 0x56], address: crate::OWN, port: 80 };

/// The requests for connections that no one follows up.
const REQUESTS: usize = 10_000;

/// The number of frames that come at a time.
const BATCH: usize = 100;

/// The frames that are wrong, at least.
const WRONG: usize = 10_000;

/// Floods the stack with requests, and then with frames of every wrong kind. Clients get what they ask for.
pub fn hold_up_no_one(wire: &Wire, port: u16, echo_port: u16) {
    let mut hostile = Hostile::new(TARGET, wire.seed());
    // A connection that is there goes on, and answers come meanwhile.
    let mut client = connect_to_echo(echo_port);
    let (mut longest, before) = (Duration::ZERO, wire.counts());
    for round in 0..(REQUESTS / BATCH) as u64 {
        for _ in 0..BATCH {
            wire.inject(&hostile.request()).unwrap();
        }
        let start = Instant::now();
        client.write_all(&round.to_le_bytes()).unwrap();
        let mut answer = [0; 8];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(u64::from_le_bytes(answer), round);
        longest = longest.max(start.elapsed());
    }
    let answers = wire.counts().answers - before.answers;
    println!(
        "{REQUESTS} requests that no one follows up, {answers} answers to them; the longest round trip: {longest:?}"
    );
    // Of the 32 frames of an event, those that the backlog has room for are answered.
    assert!(answers as usize > REQUESTS / 10, "{answers} of {REQUESTS} requests were answered");
    // New ones are taken at once.
    let wanted = pattern(4 << 20);
    download(port, &wanted);
    let mut sent = 0;
    while sent < WRONG {
        let (_, took) = during(
            |begun| download_with(port, &wanted, begun),
            || {
                let captured = wire.captured();
                for _ in 0..BATCH {
                    wire.inject(&hostile.wrong(&captured)).unwrap();
                }
                sent += BATCH;
                sleep(Duration::from_millis(5));
            },
        );
        println!("download with {sent} wrong frames so far: {took:?}");
    }
    ask_echo(echo_port, &wanted[..100_000]);
    drop(client);
}
