//! TCP in modules of ring 3, on virtio's network card, whatever is replaced or faults meanwhile; one kernel.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use bareflow::client::Client;
use bareflow::qemu::Network;
use bareflow_protocol::control::LoadOverrides;
use bareflow_protocol::{Request, Response};
use common::faulty::push_faulty;
use common::kernel::{call, pages, push_with, with_kernel};
use common::{driver_blob, test_blob};

/// The bytes of a download, and those of one during which the driver goes again and again.
const BYTES: usize = 4 << 20;

/// The times that a driver is replaced, and that it faults, while there is a download.
const RELOADS: usize = 100;
const FAULTS: usize = 10;

/// The time within which something comes, if it does at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// The constant of the pattern that `tcp-source` sends.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Returns ports of 127.0.0.1 that no one uses.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Returns `bytes` of the pattern, as whole words.
fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes as u64 / 8).flat_map(|index| index.wrapping_mul(STEP).to_le_bytes()).collect()
}

/// Downloads all that the source sends. Returns how long it took.
#[track_caller]
fn download(port: u16, wanted: &[u8]) -> Duration {
    download_with(port, wanted, &|| ())
}

/// Downloads all that the source sends, and calls `begun` when the first of it is there. QEMU takes a connection before the
/// module listens, so one that ends at once is begun again.
#[track_caller]
fn download_with(port: u16, wanted: &[u8], begun: &dyn Fn()) -> Duration {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let mut stream = connect(port);
        let mut got = vec![0; 1];
        if stream.read_exact(&mut got).is_ok() {
            let start = Instant::now();
            begun();
            stream.read_to_end(&mut got).unwrap();
            assert!(got == wanted, "{} bytes, of which some are others", got.len());
            return start.elapsed();
        }
        sleep(Duration::from_millis(500));
    }
    panic!("nothing came");
}

/// Sends the pattern to the source, which checks it, and reads what it sends. Returns how long the former took.
fn upload_and_download(port: u16, wanted: &[u8]) -> Duration {
    let start = Instant::now();
    let mut stream = connect(port);
    let mut other = stream.try_clone().unwrap();
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut got = Vec::new();
            other.read_to_end(&mut got).unwrap();
            got
        });
        stream.write_all(wanted).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(reader.join().unwrap() == wanted);
    });
    start.elapsed()
}

/// Sends bytes to the echo, which must come back.
fn ask_echo(port: u16, wanted: &[u8]) {
    let mut stream = connect(port);
    let mut other = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            stream.write_all(wanted).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        other.read_to_end(&mut got).unwrap();
        assert!(got == wanted);
    });
}

/// Returns what a module counts, as numbers.
fn counts(client: &mut Client, function: &str) -> Vec<u64> {
    let called = call(client, function, b"");
    called.output.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect()
}

/// Returns the counts of `tcp-source` once it has seen the end of so many connections, of which its other side knows before.
fn counts_after(client: &mut Client, finished: u64) -> Vec<u64> {
    for _ in 0..1000 {
        let found = counts(client, "tcp-source.counts");
        if found[3] >= finished {
            return found;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("{finished} connections have not finished within 10 s: {:?}", counts(client, "tcp-source.counts"));
}

/// Does something again and again while `transfer` works, from when that says that it has begun. Returns how often, and what the
/// transfer returned.
fn during(transfer: impl FnOnce(&dyn Fn()) -> Duration + Send, mut work: impl FnMut()) -> (usize, Duration) {
    let has_begun = AtomicBool::new(false);
    thread::scope(|scope| {
        let transfer = scope.spawn(|| transfer(&|| has_begun.store(true, Ordering::Release)));
        let mut times = 0;
        while !transfer.is_finished() {
            if has_begun.load(Ordering::Acquire) {
                work();
                times += 1;
            } else {
                sleep(Duration::from_millis(1));
            }
        }
        (times, transfer.join().unwrap())
    })
}

/// Loads a module into ring 3. A handler's time is the machine's: on one that has much else to do, the first one may be over
/// early, as the emulator has not seen its code yet.
fn load(client: &mut Client, blob: &[u8], parameters: &str) {
    let overrides =
        LoadOverrides { domain: Some("user"), on_fault: Some("restart"), parameters, ..LoadOverrides::default() };
    push_with(client, blob, overrides);
}

/// Makes the driver fault.
fn fault(client: &mut Client) {
    let request = Request::Call { module: "virtio-net.net_init", input: b"now", repeat: 1 };
    let fault = client.ask(request).unwrap_err().to_string();
    assert!(fault.contains("panic"), "{fault}");
}

#[test]
fn connections_go_on_whatever_becomes_of_the_driver() {
    let [net, tcpip] = ["virtio-net", "tcpip"].map(|name| fs::read(driver_blob(name)).unwrap());
    let [source, echo] = ["tcp-source", "tcp-echo"].map(|name| fs::read(test_blob(name)).unwrap());
    let [port, echo_port] = free_ports();
    let network = Network::parse(&format!("tcp:{port}:80,tcp:{echo_port}:7")).unwrap();
    let wanted = pattern(BYTES);
    with_kernel(
        |machine| machine.network = Some(network),
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
                    match client.ask(Request::Unload { module }).unwrap() {
                        Response::Unloaded(receipt) => {
                            assert_eq!(receipt.pages_held, receipt.pages_returned, "{module}")
                        }
                        other => panic!("{other:?}"),
                    }
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

/// The bytes of a measured transfer, and the pairs of transfers.
const MEASURED: usize = 64 << 20;
const PAIRS: usize = 7;

#[test]
#[ignore = "takes two minutes; docs/network.md shows what it prints"]
fn measures_transfers_with_and_without_faults() {
    let tcpip = fs::read(driver_blob("tcpip")).unwrap();
    let source = fs::read(test_blob("tcp-source")).unwrap();
    let [port, _] = free_ports();
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

/// Makes a transfer in turn without faults of the driver and with one each second, and prints the medians.
fn measure(name: &str, client: &mut Client, transfer: impl Fn(&dyn Fn()) -> Duration + Send + Sync) {
    let (mut without, mut with, mut faults) = (Vec::new(), Vec::new(), 0);
    for _ in 0..PAIRS {
        without.push(transfer(&|| ()));
        let mut next = Instant::now() + Duration::from_millis(300);
        let (_, took) = during(&transfer, || {
            if Instant::now() >= next {
                fault(client);
                faults += 1;
                next += Duration::from_secs(1);
            }
            sleep(Duration::from_millis(5));
        });
        with.push(took);
    }
    let [without, with] = [without, with].map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    let rate = |time: Duration| MEASURED as f64 / time.as_secs_f64() / 1e6;
    let loss = 100.0 * (1.0 - rate(with) / rate(without));
    println!("{name}: {:.1} MB/s; with {faults} faults, {:.1} MB/s, {loss:.1} % less", rate(without), rate(with));
}
