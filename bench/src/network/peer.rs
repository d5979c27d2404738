//! smoltcp in a thread of this process, on a user network of QEMU's: a source at port 80, and an echo at port 7.

use std::collections::VecDeque;
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bareflow_wire::stream::{Receiver, send};
use bareflow_wire::user_network::{UserNetwork, free_ports};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpCidr, Ipv4Address};

/// The size of each buffer of a connection, as of those of `tcpip`.
const BUFFER_BYTES: usize = 64 << 10;

/// The address on the network, and the ports of the source and of the echo.
const OWN: Ipv4Address = Ipv4Address::new(10, 0, 2, 15);
const PORTS: [u16; 2] = [80, 7];

/// The longest time without a look at the sockets.
const IDLE: Duration = Duration::from_millis(50);

/// The peer. Its network ends when this is dropped, and then its thread.
pub struct Peer {
    /// The ports of 127.0.0.1 that lead to the source and to the echo.
    pub ports: [u16; 2],
    bytes: Arc<AtomicUsize>,
    _network: UserNetwork,
}

impl Peer {
    /// Starts it.
    pub fn start() -> io::Result<Peer> {
        let ports = free_ports()?;
        let forward = |index: usize| (ports[index], OWN.octets(), PORTS[index]);
        let (network, stream) = UserNetwork::start(&[forward(0), forward(1)])?;
        let bytes = Arc::new(AtomicUsize::new(0));
        let of_thread = Arc::clone(&bytes);
        let receiver = Receiver::new(stream.try_clone()?);
        let end = End { receiver, stream, came: VecDeque::new() };
        std::thread::spawn(move || run(end, &of_thread));
        Ok(Peer { ports, bytes, _network: network })
    }

    /// Sets the bytes that the source sends to each connection.
    pub fn send(&self, bytes: usize) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

/// A socket of a port, and the bytes that it has to send still, once that is known.
struct Connection {
    handle: SocketHandle,
    is_echo: bool,
    left: Option<usize>,
}

/// Serves until the network is gone.
fn run(mut end: End, bytes: &AtomicUsize) -> io::Result<()> {
    let mut config = Config::new(HardwareAddress::Ethernet(EthernetAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56])));
    config.random_seed = 1;
    let mut interface = Interface::new(config, &mut end, Instant::now());
    interface.update_ip_addrs(|addresses| _ = addresses.push(IpCidr::new(OWN.into(), 24)));
    let mut sockets = SocketSet::new(Vec::new());
    let mut connections = Vec::new();
    for is_echo in [false, true] {
        connections.push(listen(&mut sockets, is_echo));
    }
    let chunk = vec![7; BUFFER_BYTES];
    loop {
        interface.poll(Instant::now(), &mut end, &mut sockets);
        let mut taken = Vec::new();
        for connection in &mut connections {
            let socket = sockets.get_mut::<Socket<'_>>(connection.handle);
            if socket.state() == State::Listen || socket.state() == State::SynReceived {
                continue;
            }
            if connection.left.is_none() {
                taken.push(connection.is_echo);
            }
            serve(socket, connection.is_echo, connection.left.get_or_insert(bytes.load(Ordering::Relaxed)), &chunk);
        }
        connections.retain(|connection| {
            let is_over = sockets.get::<Socket<'_>>(connection.handle).state() == State::Closed;
            if is_over {
                sockets.remove(connection.handle);
            }
            !is_over
        });
        for is_echo in taken {
            connections.push(listen(&mut sockets, is_echo));
        }
        interface.poll(Instant::now(), &mut end, &mut sockets);
        let delay = interface.poll_delay(Instant::now(), &sockets).map_or(IDLE, |delay| IDLE.min(delay.into()));
        let mut patience = delay;
        while let Some(frame) = end.receiver.next(patience)? {
            end.came.push_back(frame);
            patience = Duration::ZERO;
        }
    }
}

fn listen(sockets: &mut SocketSet<'_>, is_echo: bool) -> Connection {
    let buffer = || SocketBuffer::new(vec![0; BUFFER_BYTES]);
    let mut socket = Socket::new(buffer(), buffer());
    socket.listen(PORTS[usize::from(is_echo)]).expect("a new socket listens at a port");
    Connection { handle: sockets.add(socket), is_echo, left: None }
}

/// Sends and receives what there is for a connection.
fn serve(socket: &mut Socket<'_>, is_echo: bool, left: &mut usize, chunk: &[u8]) {
    if is_echo {
        while socket.can_send() && socket.can_recv() {
            let mut room = [0; 2048];
            let received = socket.recv_slice(&mut room).unwrap_or(0);
            _ = socket.send_slice(&room[..received]);
        }
    } else {
        while socket.can_recv() {
            _ = socket.recv(|bytes| (bytes.len(), ()));
        }
        while *left > 0 && socket.can_send() {
            *left -= socket.send_slice(&chunk[..chunk.len().min(*left)]).unwrap_or(0);
        }
    }
    let has_finished = if is_echo { !socket.may_recv() } else { *left == 0 };
    if has_finished {
        socket.close();
    }
}

/// The card: frames that came, and the socket for those that go.
struct End {
    receiver: Receiver,
    stream: UnixStream,
    came: VecDeque<Vec<u8>>,
}

impl Device for End {
    type RxToken<'token> = Frame;
    type TxToken<'token> = Room<'token>;

    fn receive(&mut self, _: Instant) -> Option<(Frame, Room<'_>)> {
        Some((Frame(self.came.pop_front()?), Room(&self.stream)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        Some(Room(&self.stream))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        (capabilities.medium, capabilities.max_transmission_unit) = (Medium::Ethernet, 1514);
        capabilities
    }
}

/// A frame that came.
struct Frame(Vec<u8>);

impl RxToken for Frame {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        work(&self.0)
    }
}

/// Room for a frame that goes.
struct Room<'end>(&'end UnixStream);

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, work: F) -> R {
        let mut frame = vec![0; length];
        let done = work(&mut frame);
        // A network that is gone is seen where frames are received.
        _ = send(self.0, &frame);
        done
    }
}
