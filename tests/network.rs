//! TCP in modules of ring 3, whatever is replaced, faults or comes over the wire meanwhile: a kernel with virtio's network card, and
//! one with e1000e's.

#[path = "network/attacks.rs"]
mod attacks;
#[path = "network/bad_wire.rs"]
mod bad_wire;
mod common;
#[path = "network/soak.rs"]
mod soak;
#[path = "network/transfers.rs"]
mod transfers;

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bareflow::qemu::Network;
use bareflow_protocol::{Request, Response};
use bareflow_wire::Wire;
use bareflow_wire::user_network::free_ports;
use common::faulty::push_faulty;
use common::kernel::{pages, unload, with_kernel};
use common::{driver_blob, test_blob};
use transfers::{
    ask_echo, counts, counts_after, download, download_with, during, fault, load, pattern, upload_and_download,
};

/// The bytes of a download, and those of one during which the driver goes again and again.
const BYTES: usize = 4 << 20;

/// The times that a driver is replaced, and that it faults, while there is a download.
const RELOADS: usize = 100;
const FAULTS: usize = 10;

/// The address of the stack.
const OWN: [u8; 4] = [10, 0, 2, 15];

/// The seed of what happens on the wire.
const SEED: u64 = 1;

#[test]
fn connections_go_on_whatever_becomes_of_the_driver() {
    let [net, tcpip] = ["virtio-net", "tcpip"].map(|name| fs::read(driver_blob(name)).unwrap());
    let [source, echo] = ["tcp-source", "tcp-echo"].map(|name| fs::read(test_blob(name)).unwrap());
    let [port, echo_port] = free_ports().unwrap();
    let wire = Wire::start(&[(port, OWN, 80), (echo_port, OWN, 7)], SEED).unwrap();
    let wanted = pattern(BYTES);
    with_kernel(
        |machine| machine.network = Network::parse(&format!("stream:{}", wire.socket().display())),
        |client| {
            let mut before = None;
            for _ in 0..2 {
                load(client, &net, "");
                load(client, &tcpip, "");
                load(client, &source, &format!("tcp-source.bytes={BYTES}"));
                load(client, &echo, "");
                println!("download: {:?}", download(port, &wanted));
                ask_echo(echo_port, &wanted[..100_000]);
                println!("both ways: {:?}", upload_and_download(port, &wanted));
                let found = counts_after(client, 2);
                assert_eq!(found[1..4], [BYTES as u64, 0, 2], "received, wrong, finished");
                for module in ["tcp-echo", "tcp-source", "tcpip", "virtio-net"] {
                    unload(client, module);
                }
                // Tables of addresses that were in use once stay, so the second round is compared with the first.
                let pages = pages(client);
                assert_eq!(*before.get_or_insert(pages), pages);
            }
            push_faulty(client);
            load(client, &tcpip, "");
            load(client, &source, &format!("tcp-source.bytes={BYTES}"));
            let mut faults = 0;
            while faults < FAULTS {
                let (times, took) = during(
                    |begun| download_with(port, &wanted, begun),
                    || {
                        fault(client);
                        sleep(Duration::from_millis(20));
                    },
                );
                println!("download with {times} faults of the driver: {took:?}");
                faults += times;
            }
            let mut reloads = 0;
            while reloads < RELOADS {
                let (times, took) = during(
                    |begun| download_with(port, &wanted, begun),
                    || {
                        load(client, &net, "");
                        sleep(Duration::from_millis(10));
                    },
                );
                println!("download with {times} reloads of the driver: {took:?}");
                reloads += times;
            }
            bad_wire::carries_everything(client, &wire, port);
            load(client, &echo, "");
            attacks::hold_up_no_one(&wire, port, echo_port);
            // The listeners outlast the stack, and its users begin anew after a restart of it.
            load(client, &tcpip, "");
            download(port, &wanted);
            assert!(matches!(client.ask(Request::Restart { module: "tcpip" }), Ok(Response::Done)));
            download(port, &wanted);
            // A user that is replaced has its port still: it is the same caller.
            load(client, &source, &format!("tcp-source.bytes={BYTES}"));
            download(port, &wanted);
            // One that is loaded anew gets the port from the one that is gone: soon, and not after a minute of silence.
            let start = Instant::now();
            assert!(matches!(client.ask(Request::Unload { module: "tcp-source" }), Ok(Response::Unloaded(_))));
            load(client, &source, &format!("tcp-source.bytes={BYTES}"));
            download(port, &wanted);
            assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
            assert_eq!(counts(client, "tcp-source.counts")[2], 0);
        },
    );
}

#[test]
fn the_stack_runs_on_a_card_by_its_registers() {
    let [card, tcpip] = ["e1000e", "tcpip"].map(|name| fs::read(driver_blob(name)).unwrap());
    let source = fs::read(test_blob("tcp-source")).unwrap();
    let [port] = free_ports().unwrap();
    let wanted = pattern(BYTES);
    with_kernel(
        |machine| {
            (machine.network, machine.iommu) = (Network::parse(&format!("model=e1000e,tcp:{port}:80")), true);
        },
        |client| {
            let mut before = None;
            for _ in 0..2 {
                load(client, &card, "");
                load(client, &tcpip, "bind tcpip.nic=e1000e");
                load(client, &source, &format!("tcp-source.bytes={BYTES}"));
                println!("download: {:?}", download(port, &wanted));
                let (mut replaced, mut downloads) = (0, 1);
                while replaced < FAULTS {
                    let (times, took) = during(
                        |begun| download_with(port, &wanted, begun),
                        || {
                            assert!(matches!(client.ask(Request::Restart { module: "e1000e" }), Ok(Response::Done)));
                            sleep(Duration::from_millis(20));
                            load(client, &card, "");
                            sleep(Duration::from_millis(20));
                        },
                    );
                    println!("download with {times} restarts and reloads of the driver: {took:?}");
                    (replaced, downloads) = (replaced + times, downloads + 1);
                }
                println!("both ways: {:?}", upload_and_download(port, &wanted));
                let found = counts_after(client, downloads + 1);
                assert_eq!(found[1..3], [BYTES as u64, 0], "received, wrong");
                ["tcp-source", "tcpip", "e1000e"].into_iter().for_each(|module| unload(client, module));
                let pages = pages(client);
                assert_eq!(*before.get_or_insert(pages), pages);
            }
        },
    );
}
