//! Transfers between clients of this process and the modules `tcp-source` and `tcp-echo`, and what is done to the driver meanwhile.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use bareflow::client::Client;
use bareflow_loader::Domain;
use bareflow_protocol::Request;

use crate::common::kernel::{call, push_restarted};

/// The time within which something comes, if it does at all.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The constant of the pattern that `tcp-source` sends.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

pub fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Returns `bytes` of the pattern, as whole words.
pub fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes as u64 / 8).flat_map(|index| index.wrapping_mul(STEP).to_le_bytes()).collect()
}

/// Downloads all that the source sends. Returns how long it took.
#[track_caller]
pub fn download(port: u16, wanted: &[u8]) -> Duration {
    download_with(port, wanted, &|| ())
}

/// Downloads all that the source sends, and calls `begun` when the first of it is there. QEMU takes a connection before the
/// module listens, so one that ends at once is begun again.
#[track_caller]
pub fn download_with(port: u16, wanted: &[u8], begun: &dyn Fn()) -> Duration {
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
pub fn upload_and_download(port: u16, wanted: &[u8]) -> Duration {
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

/// Returns a connection to the echo that has answered, once it listens.
#[track_caller]
pub fn connect_to_echo(port: u16) -> TcpStream {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let mut stream = connect(port);
        if stream.write_all(b"hello").is_ok() && stream.read_exact(&mut [0; 5]).is_ok() {
            return stream;
        }
        sleep(Duration::from_millis(100));
    }
    panic!("no answer came");
}

/// Sends bytes to the echo, which must come back.
pub fn ask_echo(port: u16, wanted: &[u8]) {
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
pub fn counts(client: &mut Client, function: &str) -> Vec<u64> {
    let called = call(client, function, b"");
    called.output.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect()
}

/// Returns the counts of `tcp-source` once it has seen the end of so many connections, of which its other side knows before.
pub fn counts_after(client: &mut Client, finished: u64) -> Vec<u64> {
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
pub fn during(transfer: impl FnOnce(&dyn Fn()) -> Duration + Send, mut work: impl FnMut()) -> (usize, Duration) {
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

/// Loads a module into ring 3 that is started again after a fault.
#[track_caller]
pub fn load(client: &mut Client, blob: &[u8], parameters: &str) {
    push_restarted(client, blob, Domain::User, parameters);
}

/// Makes the driver fault.
pub fn fault(client: &mut Client) {
    let request = Request::Call { module: "virtio-net.net_init", input: b"now", repeat: 1 };
    let fault = client.ask(request).unwrap_err().to_string();
    assert!(fault.contains("panic"), "{fault}");
}
