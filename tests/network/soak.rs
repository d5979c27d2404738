//! Long runs, by `make soak`.

use std::fs;
use std::io::{Read, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bareflow::client::Client;
use bareflow::qemu::Network;
use bareflow_wire::Wire;
use bareflow_wire::faults::Chances;
use bareflow_wire::user_network::free_ports;

use crate::bad_wire::BAD;
use crate::common::faulty::{faulty_driver, push_faulty};
use crate::common::kernel::{pages, unload, with_kernel};
use crate::common::mutate::with_header;
use crate::common::{driver_blob, test_blob};
use crate::transfers::{connect, counts, download, download_with, during, fault, load, pattern, upload_and_download};
use crate::{OWN, SEED};

/// The bytes of a transfer.
const BYTES: usize = 64 << 20;

/// The reloads of the driver, and the time between two of them.
const RELOADS: usize = 100;
const BETWEEN: Duration = Duration::from_millis(50);

/// The pairs of transfers that are compared.
const PAIRS: usize = 15;

/// The bytes of each of them.
const MEASURED: usize = 128 << 20;

#[test]
#[ignore = "takes minutes; docs/network.md shows what it prints"]
fn a_bad_wire_and_a_driver_that_comes_and_goes_lose_nothing() {
    let [net, tcpip] = ["virtio-net", "tcpip"].map(|name| fs::read(driver_blob(name)).unwrap());
    let source = fs::read(test_blob("tcp-source")).unwrap();
    let next = with_header(&net, |header| header.version_patch += 1);
    let [port] = free_ports().unwrap();
    let seed = std::env::var("SEED").map_or(SEED, |seed| seed.parse().unwrap());
    let wire = Wire::start(&[(port, OWN, 80)], seed).unwrap();
    println!("seed {seed}; of 10,000 frames each way: {BAD:?}");
    let wanted = pattern(BYTES);
    with_kernel(
        |machine| machine.network = Network::parse(&format!("stream:{}", wire.socket().display())),
        |client| {
            let mut before = None;
            for is_long in [false, true] {
                push_faulty(client);
                load(client, &tcpip, "");
                let bytes = if is_long { BYTES } else { 1 << 20 };
                load(client, &source, &format!("tcp-source.bytes={bytes}"));
                // All that a transfer takes once is there then.
                upload_and_download(port, &wanted[..bytes]);
                if is_long {
                    stay_up(client, &wire, port, &wanted, [&faulty_driver(), &next]);
                }
                let found = counts(client, "tcp-source.counts");
                assert_eq!((found[2], found[4]), (0, 0), "wrong bytes, connections that failed");
                ["tcp-source", "tcpip", "virtio-net"].iter().for_each(|module| unload(client, module));
                let after = pages(client);
                println!("pages of the kernel without the network: {after}");
                assert_eq!(*before.get_or_insert(after), after, "pages after a round are those after the one before");
            }
        },
    );
}

/// Makes transfers over the bad wire while the driver comes and goes, and prints how long each took.
fn stay_up(client: &mut Client, wire: &Wire, port: u16, wanted: &[u8], versions: [&[u8]; 2]) {
    let before = pages(client);
    told(wire, "download, a good wire", || (0, download(port, wanted)));
    wire.set(BAD);
    told(wire, "download, the bad wire", || (0, download(port, wanted)));
    told(wire, "download, a fault of the driver each second", || {
        let each_second = || {
            fault(client);
            sleep(Duration::from_secs(1));
        };
        during(|begun| download_with(port, wanted, begun), each_second)
    });
    let mut reloads = 0;
    while reloads < RELOADS {
        told(wire, "download, the driver replaced by its next version and back", || {
            let reload = || {
                reloads += 1;
                load(client, versions[reloads % 2], "");
                sleep(BETWEEN);
            };
            during(|begun| download_with(port, wanted, begun), reload)
        });
    }
    push_faulty(client);
    wire.set(Chances::default());
    download(port, wanted);
    println!("pages of the kernel with the network: {before} before, {} after", pages(client));
}

/// Makes a transfer. Prints how long it took, how often something was done meanwhile, and what happened to its frames.
fn told(wire: &Wire, name: &str, transfer: impl FnOnce() -> (usize, Duration)) {
    let before = wire.counts();
    let (times, took) = transfer();
    let counts = wire.counts() - before;
    println!("{name}: {took:?}, {times} times; {counts}");
}

#[test]
#[ignore = "takes ten minutes; docs/network.md shows what it prints"]
fn measures_transfers_with_and_without_faults() {
    let tcpip = fs::read(driver_blob("tcpip")).unwrap();
    let source = fs::read(test_blob("tcp-source")).unwrap();
    let [port] = free_ports().unwrap();
    let network = Network::parse(&format!("tcp:{port}:80")).unwrap();
    let wanted = pattern(MEASURED);
    with_kernel(
        |machine| machine.network = Some(network),
        |client| {
            push_faulty(client);
            load(client, &tcpip, "");
            load(client, &source, &format!("tcp-source.bytes={MEASURED}"));
            download(port, &wanted);
            measure("from the module", client, |begun| download_with(port, &wanted, begun));
            load(client, &source, "tcp-source.bytes=8");
            download(port, &wanted[..8]);
            measure("to the module", client, |begun| {
                let mut stream = connect(port);
                stream.read_exact(&mut [0; 8]).unwrap();
                let start = Instant::now();
                begun();
                stream.write_all(&wanted).unwrap();
                start.elapsed()
            });
            sleep(Duration::from_secs(2));
            let found = counts(client, "tcp-source.counts");
            assert_eq!(found[2], 0, "wrong bytes");
        },
    );
}

/// Makes pairs of transfers, without faults of the driver and with one each second, and prints the quartiles. The pairs are made in
/// both orders, and compared one by one; half of all pairs lose between the quartiles.
fn measure(name: &str, client: &mut Client, transfer: impl Fn(&dyn Fn()) -> Duration + Send + Sync) {
    let mut faults = 0;
    let mut pairs: Vec<[f64; 2]> = Vec::new();
    for pair in 0..PAIRS {
        let mut rates = [0.0; 2];
        for turn in 0..2 {
            let has_faults = (pair + turn) % 2 == 1;
            let mut next = Instant::now() + Duration::from_millis(300);
            let (_, took) = during(&transfer, || {
                if has_faults && Instant::now() >= next {
                    fault(client);
                    faults += 1;
                    next += Duration::from_secs(1);
                }
                sleep(Duration::from_millis(5));
            });
            rates[usize::from(has_faults)] = MEASURED as f64 / took.as_secs_f64() / 1e6;
        }
        pairs.push(rates);
    }
    let [without, with] = [0, 1].map(|kind| quartiles(pairs.iter().map(|rates| rates[kind])));
    let losses = quartiles(pairs.iter().map(|[without, with]| 100.0 * (1.0 - with / without)));
    println!(
        "{name}, {PAIRS} pairs, quartiles: {without:.1?} MB/s; with {faults} faults, {with:.1?} MB/s; a pair loses {losses:.1?} %"
    );
}

/// Returns the quartiles of values.
fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| sorted[(sorted.len() - 1) * quarter / 4])
}
