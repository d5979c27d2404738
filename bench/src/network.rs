//! TCP over QEMU's user network: driver, stack and its users as modules in ring 3, beside smoltcp in an ordinary process.

mod peer;

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bareflow::client::Client;
use bareflow::qemu::Network;
use bareflow_builder::Workspace;
use bareflow_protocol::control::LoadOverrides;
use bareflow_wire::user_network::free_ports;

use crate::network::peer::Peer;
use crate::served::{Served, push};
use crate::{blob_of, table};

/// The bytes of a transfer, and the bytes that a sender gets in turn.
const BYTES: usize = 32 << 20;
const SHORT: usize = 8;

/// The pairs of transfers, and the round trips of one of them.
const PAIRS: usize = 7;
const ROUND_TRIPS: usize = 200;

/// The time within which the modules begin to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A function that measures one side, by its ports of the source and of the echo.
type Measure = fn([u16; 2]) -> Result<f64, Box<dyn Error>>;

/// Prints the table.
pub fn show(workspace: &Workspace) -> Result<(), Box<dyn Error>> {
    let blob = |path: &str| blob_of(workspace, path, "bench-network");
    let [driver, stack, source, echo] = [
        blob("drivers/virtio-net")?,
        blob("drivers/tcpip")?,
        blob("tests/modules/tcp-source")?,
        blob("tests/modules/tcp-echo")?,
    ];
    let ours = free_ports::<2>()?;
    let forwards = format!("tcp:{}:80,tcp:{}:7", ours[0], ours[1]);
    let served = Served::start_with(|machine| machine.network = Network::parse(&forwards))?;
    let mut client = served.client()?;
    for blob in [&driver, &stack, &echo] {
        load(&mut client, blob, "")?;
    }
    let peer = Peer::start()?;
    let mut rows = table(&["", "modules in ring 3", "smoltcp in a process", "modules in percent"]);
    let all: [(&str, usize, Measure); 3] = [
        ("to a client, MiB/s", BYTES, down),
        ("from a client, MiB/s", SHORT, up),
        ("a byte there and back, µs", SHORT, round_trip),
    ];
    for (name, bytes, measure) in all {
        load(&mut client, &source, &format!("tcp-source.bytes={bytes}"))?;
        peer.send(bytes);
        let (mut found, mut others) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            found.push(measure(ours)?);
            others.push(measure(peer.ports)?);
        }
        let [found, other] = [found, others].map(median);
        rows.add_row([
            name.to_owned(),
            format!("{found:.1}"),
            format!("{other:.1}"),
            format!("{:.0}", 100.0 * found / other),
        ]);
    }
    served.end(client)?;
    println!("## TCP over QEMU's user network, medians of {PAIRS} pairs\n\n{rows}\n");
    println!(
        "Transfers of {} MiB. The modules run in the emulator: virtio-net, tcpip with its buffers of 64 KiB, and the test modules \
         tcp-source and tcp-echo. The process has the same version of smoltcp with such buffers, and its frames go over a socket to a \
         QEMU without a machine. What is sent counts as such when the host has taken it.\n",
        BYTES >> 20
    );
    Ok(())
}

fn load(client: &mut Client, blob: &[u8], parameters: &str) -> Result<(), Box<dyn Error>> {
    let overrides =
        LoadOverrides { domain: Some("user"), on_fault: Some("restart"), parameters, ..LoadOverrides::default() };
    push(client, blob, overrides).map(drop)
}

/// Connects once something listens and sends: QEMU takes connections before that, and ends them.
fn connect(port: u16) -> Result<(TcpStream, Instant), Box<dyn Error>> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        if stream.read_exact(&mut [0]).is_ok() {
            return Ok((stream, Instant::now()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(format!("nothing came from port {port} of 127.0.0.1 within {PATIENCE:?}").into())
}

fn down([port, _]: [u16; 2]) -> Result<f64, Box<dyn Error>> {
    let (mut stream, start) = connect(port)?;
    let mut got = Vec::with_capacity(BYTES);
    stream.read_to_end(&mut got)?;
    if got.len() != BYTES - 1 {
        return Err(format!("{} bytes came, expected {}", got.len() + 1, BYTES).into());
    }
    Ok(rate(start))
}

fn up([port, _]: [u16; 2]) -> Result<f64, Box<dyn Error>> {
    let (mut stream, start) = connect(port)?;
    stream.write_all(&vec![1; BYTES])?;
    Ok(rate(start))
}

fn round_trip([_, port]: [u16; 2]) -> Result<f64, Box<dyn Error>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut times = Vec::new();
    for round in 0..ROUND_TRIPS {
        let start = Instant::now();
        stream.write_all(&[round as u8])?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        if answer != [round as u8] {
            return Err("another byte came back".into());
        }
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times))
}

/// Returns the MiB per second of a transfer.
fn rate(start: Instant) -> f64 {
    BYTES as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
